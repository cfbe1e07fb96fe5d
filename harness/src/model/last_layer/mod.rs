//! What is known of the weights of a last layer: a diagonal Gaussian around those of the network (`BayesDiff`,
//! arXiv:2310.11142, Section 4).

mod fisher;
mod held;
mod look;
mod posterior;

pub use fisher::{Fisher, FisherError};
pub use held::HeldWeights;
pub use look::{Predictive, WeightDraws, WeightLook};
pub use posterior::{LastLayerPosterior, Marginals};
