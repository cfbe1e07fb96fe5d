//! ONNX graphs made from ONNX graphs. The only door to `prost`.
//!
//! People export the plain forward graph of a diffusion model and nothing else; all that the harness
//! asks of it beyond `epsilon_hat` is made here, without PyTorch:
//!
//! | pass | adds | for |
//! |---|---|---|
//! | [`vjp::vjp`] | input `cotangent`, output `jtv` | gradients through the network |
//! | [`fused::variance_gradient`] | outputs `variance`, `gradient` | guidance, `M` draws a sample in one run |
//! | [`dropout::to_mask_input`] | input `masks` in place of `Dropout` | MC-Dropout |
//! | [`tap::tap`] | output `features`: input of the last layer | fitting a last-layer posterior |
//! | [`last_layer::with_variance`] | output `variance` | BayesDiff |
//!
//! A pass reads a [`Model`], returns a new one and keeps the dynamic batch. What it cannot rewrite
//! it refuses by name before any work.
//!
//! ```no_run
//! use std::path::Path;
//! use dubench::graph::{GraphError, Model, Runner, Weights, vjp};
//!
//! fn derive(runner: &dyn Runner) -> Result<(), GraphError> {
//!     let forward = Model::read(Path::new("denoiser.onnx"))?;
//!     let derived = vjp::vjp(&forward, vjp::Options::default(), runner)?;
//!     derived.write(Path::new("denoiser_vjp.onnx"), Weights::Auto)
//! }
//! ```

#[cfg(test)]
mod bundle;
pub mod cache;
pub mod checks;
mod dim;
pub mod dropout;
mod edit;
mod error;
mod external;
mod fold;
pub mod fused;
#[cfg(test)]
mod golden;
pub mod last_layer;
pub mod memory;
mod model;
mod path;
mod proto;
mod reverse;
#[cfg(test)]
mod robustness;
mod rules;
mod runner;
mod shapes;
mod tail;
pub mod tap;
mod tensor;
#[cfg(test)]
mod testing;
mod types;
pub mod vjp;
mod write;

pub use checks::{Interface, Names};
pub use dim::Dim;
pub use error::GraphError;
pub use model::{DeclaredDim, Model, Port};
pub use reverse::ConvGradient;
pub use runner::{Feeds, Runner, Source};
pub use tensor::{ElementType, Tensor, TensorData};
pub use write::Weights;
