//! What the settings of every control must answer.

use ndarray::{Array4, ArrayView3, ArrayView4};

use crate::uncertainty::{Defaults, Estimator, Window};

/// What a control's settings know. The enum of the kinds hands every question on.
pub trait ControlSettings {
    /// Loop indices at which it looks, as the file gives them; `None` where it gives none or there are none.
    fn window(&self) -> Option<Window>;

    /// Fills what the file left out.
    fn fill(&mut self, defaults: &Defaults);

    /// The control.
    fn build(&self) -> Control;
}

/// A score of an image `[c, h, w]` u8.
pub type ImageScore = fn(ArrayView3<'_, u8>) -> f64;

/// A control, by what it looks at.
pub enum Control {
    /// Places on the trajectory, as an estimator does, without a call of its own.
    Trajectory(Box<dyn Estimator>),
    /// The first clean estimate and the final state, both `[b, c, h, w]`; the map is of the same shape.
    Ends(fn(ArrayView4<'_, f32>, ArrayView4<'_, f32>) -> Array4<f64>),
    /// The image alone, `[c, h, w]` u8.
    Image(ImageScore),
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trajectory(_) => "Trajectory",
            Self::Ends(_) => "Ends",
            Self::Image(_) => "Image",
        })
    }
}
