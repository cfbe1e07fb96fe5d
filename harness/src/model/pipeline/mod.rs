//! Text-to-image pipelines: a folder as Optimum writes it, prompts, and classifier-free guidance, as one denoiser.
//!
//! Prompts are conditions of samples: what estimators, guidance rules and samplers see is the network under its
//! classifier-free guidance, so they need to know nothing of text. A doubled batch shares its noise, and each row counts
//! two evaluations.

mod encoder;
mod identity;
mod inspect;
mod open;
mod prompts;
mod request;
#[cfg(test)]
mod tests;
mod text_states;

pub(super) use identity::external;
pub use identity::{identity, label, weight_bytes};
pub use inspect::{PipelineSummary, TextSummary, inspect};
pub use open::open_pipeline;
pub use prompts::of as prompts;
pub use request::Pipeline;
