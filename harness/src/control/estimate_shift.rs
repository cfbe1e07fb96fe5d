//! A control of reconstructions: how far the first clean estimate lies from what becomes of it.

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::{Control, ControlSettings};
use crate::uncertainty::{Defaults, Window};

/// The control as an experiment writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimateShiftSettings {}

impl ControlSettings for EstimateShiftSettings {
    fn window(&self) -> Option<Window> {
        None
    }

    fn fill(&mut self, _defaults: &Defaults) {}

    fn build(&self) -> Control {
        Control::Ends(estimate_shift)
    }
}

/// `|x0_hat - x_0|`, element by element: the clean estimate of the first executed step against the final state, both
/// `[b, c, h, w]` in the model's range.
///
/// # Examples
/// ```
/// use dubench::control::estimate_shift;
/// use ndarray::Array4;
/// let (first, last) = (Array4::from_elem((1, 1, 1, 2), 0.25), Array4::from_elem((1, 1, 1, 2), 1.0));
/// assert_eq!(estimate_shift(first.view(), last.view()), Array4::from_elem((1, 1, 1, 2), 0.75));
/// ```
pub fn estimate_shift(first: ArrayView4<'_, f32>, last: ArrayView4<'_, f32>) -> Array4<f64> {
    Zip::from(first)
        .and(last)
        .map_collect(|first, last| (f64::from(*first) - f64::from(*last)).abs())
}
