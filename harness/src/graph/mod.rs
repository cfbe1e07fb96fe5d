//! ONNX graphs made from ONNX graphs. The only door to `prost`.
//!
//! People export the plain forward graph of a diffusion model and nothing else; all that the harness
//! asks of it beyond `epsilon_hat` is made here, without PyTorch:
//!
//! | pass | adds | for |
//! |---|---|---|
//! | [`dropout::to_mask_input`] | input `masks` in place of `Dropout` | MC-Dropout |
//!
//! A pass reads a [`Model`], returns a new one and keeps the dynamic batch. What it cannot rewrite
//! it refuses by name before any work.

pub mod cache;
pub mod checks;
pub mod dropout;
mod edit;
mod error;
mod external;
mod fold;
mod model;
mod proto;
mod runner;
mod shapes;
mod tensor;
#[cfg(test)]
mod testing;
mod types;
mod write;

pub use checks::{Interface, Names};
pub use error::GraphError;
pub use model::{DeclaredDim, Model, Port};
pub use runner::{Feeds, Runner, Source};
pub use shapes::Dim;
pub use tensor::{ElementType, Tensor, TensorData};
pub use write::Weights;
