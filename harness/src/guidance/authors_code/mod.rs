//! What the released guidance code does differently from the paper, as rules of their own.
//!
//! | # | the paper | here |
//! |---|---|---|
//! | D9 | ascent | [`AuthorsGradient`] ascends; [`super::Direction::Descent`] is the older files' choice |
//! | D10 | strength lambda | lambda divided by the batch size of the run to imitate, given as a number |
//! | D11 | gradient with respect to `epsilon_t` | with respect to `x_t`, through the network |
//! | D12 | percentile of the map | [`super::StepThresholds::Pixel`] by [`super::dataset_pixel`] |
//! | D13 | all steps | a window: the first three steps in the shipped configurations |
//! | D15 | `alpha_bar` at the training time | [`LoopIndexAlpha`]: at the loop index |
//! | D17 | gradient | [`posterior`]: the rule of the shipped configurations |
//!
//! D14 (a quarter of the steps) and D16 (DDIM for every model) are settings of the sampler.
//!
//! # What is left out?
//! The released posterior sums predictions over the *batch axis*, so each image would change with its
//! neighbours. A row here depends on itself alone: the rule is the released one at batch size 1.

mod gradient;
mod loop_index;
mod posterior;

pub use gradient::{AuthorsGradient, AuthorsGradientSettings};
pub use loop_index::LoopIndexAlpha;
pub use posterior::{AuthorsPosteriorSettings, posterior};

use crate::uncertainty::Window;

/// The steps that are guided in the released configurations.
fn first_steps() -> Window {
    Window { start: 0, len: 3 }
}
