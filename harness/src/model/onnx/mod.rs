//! The only door to ONNX Runtime: environment, devices, sessions, and the three model traits over them.
//!
//! Nothing here falls back in silence. The library is found by [`environment::library_path`] and by
//! nothing else, a device that cannot be had is an error, and every session pins its optimisation
//! level, because the level changes the bits of the answer.

pub mod device;
pub mod environment;
pub mod extractor;
pub mod preprocess;
pub mod runner;
pub mod session;

pub use device::Device;
pub use extractor::OnnxExtractor;
pub use session::{Feed, OnnxSession, RuntimeOptions};
