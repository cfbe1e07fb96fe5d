//! A control that looks at the image alone: how rough it is.

use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use super::{Control, ControlSettings};
use crate::uncertainty::{Defaults, Window};

/// The control as an experiment writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotalVariationSettings {}

impl ControlSettings for TotalVariationSettings {
    fn window(&self) -> Option<Window> {
        None
    }

    fn fill(&mut self, _defaults: &Defaults) {}

    fn build(&self) -> Control {
        Control::Image(total_variation)
    }
}

/// Total variation of a u8 image `[c, h, w]`:
/// `sum |I(y, x + 1) - I(y, x)| + |I(y + 1, x) - I(y, x)|` over channels, in f64, in grey levels.
///
/// # Why this control?
/// An uncertainty that is large where an image is rough, and small where it is smooth, sorts images as this
/// sum does, and it has been paid for with network evaluations.
///
/// # Examples
/// ```
/// use dubench::control::total_variation;
/// use ndarray::array;
/// let image = array![[[0_u8, 10], [0, 255]]];
/// assert_eq!(total_variation(image.view()), 10.0 + 255.0 + 0.0 + 245.0);
/// ```
pub fn total_variation(image: ArrayView3<'_, u8>) -> f64 {
    let (c, h, w) = image.dim();
    let mut sum: u64 = 0;
    for channel in 0..c {
        for y in 0..h {
            for x in 0..w {
                let here = image[[channel, y, x]];
                if x + 1 < w {
                    sum += u64::from(image[[channel, y, x + 1]].abs_diff(here));
                }
                if y + 1 < h {
                    sum += u64::from(image[[channel, y + 1, x]].abs_diff(here));
                }
            }
        }
    }
    // Exact: the sum of a 10,000 x 10,000 image stays below 2^53.
    sum as f64
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_flat_image_has_none_and_a_chessboard_has_the_most() {
        let flat = Array3::from_elem((3, 8, 8), 77_u8);
        assert_eq!(total_variation(flat.view()), 0.0);
        let chess =
            Array3::from_shape_fn((3, 8, 8), |(_, y, x)| if (x + y) % 2 == 0 { 0 } else { 255 });
        // Every one of the 2 * 7 * 8 neighbours of a channel differs by 255.
        assert_eq!(total_variation(chess.view()), 3.0 * 2.0 * 56.0 * 255.0);
    }

    #[test]
    fn it_does_not_see_a_shift_of_brightness() {
        let image = Array3::from_shape_fn((3, 5, 4), |(c, y, x)| {
            u8::try_from((c * 31 + y * 17 + x * 5) % 97).unwrap()
        });
        assert_eq!(total_variation(image.view()), total_variation(image.mapv(|v| v + 100).view()));
    }
}
