//! Model bundles: a folder with `model.yaml` and its graphs, checked as a whole before anything runs.

#[cfg(test)]
mod condition_tests;
mod conditions;
pub mod files;
mod guidance;
pub mod init;
mod inspect;
mod last_layer;
mod network_summary;
mod noise_check;
mod open;
mod precision;
mod renew;
#[cfg(test)]
mod tests;
mod whole_step;
pub mod work;

pub use guidance::check_guidance;
pub use inspect::{SiteSummary, Summary, inspect};
pub use last_layer::{with_layer_gradient, with_posterior};
pub(in crate::model) use network_summary::{Measured, Said};
pub use network_summary::{MemoryPerImage, NetworkSummary, PortSummary};
pub use noise_check::NoiseCheck;
pub(in crate::model) use noise_check::noise_of;
pub(in crate::model) use open::prediction_word;
pub(in crate::model) use open::with_products;
pub use open::{
    Gradients, Opened, Provenance, SelfTest, open_bundle, open_bundle_as, open_bundle_with,
    open_encoder,
};
pub(in crate::model) use precision::of_graph as precision_of;
pub use renew::{Renewal, renewed};
pub use whole_step::with_steps;
