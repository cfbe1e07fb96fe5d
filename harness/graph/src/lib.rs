//! ONNX graphs made from ONNX graphs, without PyTorch. The only door to `prost`.
//!
//! People export the plain forward graph of a diffusion model and nothing else. What is asked of it
//! beyond the prediction is made here:
//!
//! | pass | adds | for |
//! |---|---|---|
//! | [`vjp::vjp`] | input `cotangent`, output `jtv` | gradients through the network |
//! | [`fused::variance_gradient`] | outputs `variance`, `gradient` | guidance, `M` draws a sample in one run |
//! | [`dropout::to_mask_input`] | input `masks` in place of `Dropout` | MC-Dropout |
//! | [`layer_gradient::layer_gradient`] | outputs `features`, `layer_gradient` | fitting a last-layer posterior |
//! | [`head::head`] | inputs `features`, `layer_weight`, `layer_bias` | weight draws of BayesDiff |
//! | [`tap::tap`] | output `features`: input of the last layer | fitting a last-layer posterior |
//! | [`last_layer::with_variance`] | output `variance` | BayesDiff |
//! | [`step::step`] | noise and coefficients in, variance and next state out | a step of `M` re-noised predictions in one run |
//! | [`half::half`] | nothing: weights and heavy operators in float16 | memory and speed of a GPU |
//! | [`stored::in_half`] | nothing: weights lie in float16, all is computed in float32 | disk |
//!
//! [`at_size`] and [`in_single`] prepare a graph for them: lengths that it leaves open, float16 at its ends.
//!
//! A pass reads a [`Model`], returns a new one and keeps the dynamic batch. What it cannot rewrite
//! it refuses by name before any work. Passes that need shapes infer them, and ask a [`Runner`] for what shapes and
//! weights do not decide; the feature `ort` brings `OrtRunner`, which is one on ONNX Runtime.
//!
//! How the modules stand: `proto` (messages), `tensor`, `widen` and `model` at the bottom; `checks`, `fold`, `shapes`,
//! `types` look; `edit` writes; `reverse` is the state of a gradient that is being written, `rules` has one
//! function an operator over it, `pull_back` walks the nodes; the passes stand on top.

#[cfg(test)]
mod bundle;
pub mod cache;
pub mod checks;
mod dim;
pub mod dropout;
#[cfg(test)]
mod dropout_tests;
mod edit;
mod encode;
mod ends;
mod error;
mod external;
pub mod flops;
mod fold;
pub mod fused;
#[cfg(test)]
mod golden;
pub mod half;
pub mod head;
pub mod last_layer;
pub mod layer_gradient;
pub mod memory;
mod model;
mod order;
#[cfg(any(test, feature = "ort"))]
mod ort_runner;
mod path;
mod proto;
#[cfg(test)]
mod public;
mod publish;
mod pull_back;
mod reverse;
#[cfg(test)]
mod robustness;
mod rules;
mod runner;
mod shapes;
mod sized;
pub mod step;
pub mod stored;
mod tail;
pub mod tap;
mod tensor;
#[cfg(test)]
mod testing;
mod types;
pub mod vjp;
mod widen;
mod write;

pub use checks::{Interface, Names};
pub use dim::Dim;
pub use ends::in_single;
pub use error::GraphError;
pub use model::{DeclaredDim, Model, Port};
#[cfg(any(test, feature = "ort"))]
pub use ort_runner::{LIBRARY_FILE, OrtRunner, PINNED_VERSION};
pub use reverse::ConvGradient;
pub use runner::{Feeds, Runner, Source};
pub use sized::at_size;
pub use tensor::{ElementType, Tensor, TensorData};
pub use write::Weights;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
