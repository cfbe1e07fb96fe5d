//! The only door to ONNX Runtime: environment, devices, sessions, and the three model traits over them.
//!
//! Nothing here falls back in silence. The library is found by [`environment::library_path`] and by
//! nothing else, a device that cannot be had is an error, and every session pins its optimisation
//! level, because the level changes the bits of the answer.

mod architecture;
mod binding;
pub mod clip;
pub mod conditions;
mod conversion;
pub mod cuda;
pub mod cuda_libraries;
pub mod decoder;
pub mod denoiser;
#[cfg(test)]
mod denoiser_tests;
pub mod derive;
pub mod device;
#[cfg(test)]
mod door_tests;
pub mod encoder;
pub mod environment;
pub mod extractor;
mod failure;
mod feed;
pub mod fit;
pub mod footprint;
mod lazy;
mod library;
pub mod operations;
pub mod options;
pub mod parts;
mod pieces;
mod ports;
pub mod posterior;
mod providers;
mod released_padding;
mod rows;
pub mod runner;
pub mod self_test;
pub mod session;
pub mod text_encoder;
mod uncertain;
mod values;
mod whole_step;
#[cfg(test)]
mod whole_step_tests;

pub use clip::{ClipNetwork, ClipText};
pub use conditions::{ConditionRows, ConditionTensor, NullClass, RowSource};
pub use decoder::OnnxDecoder;
pub use denoiser::OnnxDenoiser;
pub use device::Device;
pub use encoder::OnnxEncoder;
pub use extractor::OnnxExtractor;
pub use feed::Feed;
pub use footprint::PerGraph;
pub use options::{RuntimeOptions, StepGraphs};
pub use parts::DenoiserParts;
pub use posterior::{LayerGradients, PosteriorGraphs};
pub use self_test::SelfTestReport;
pub use session::{GraphSource, OnnxSession};
pub use text_encoder::TextEncoder;
