//! From a final state to a u8 image, for networks that work on pixels of any range, colour or grey.

use ndarray::{Array4, ArrayView4, Axis, concatenate};

use super::{Decoder, ModelError};

/// `round(255 (clamp(x, low, high) - low) / (high - low))`, halves to the even neighbour; grey is repeated to three channels.
///
/// # Why halves to even?
/// `torch.round` and NumPy do so; with another rule an image differs in single grey levels.
///
/// # Examples
/// ```
/// use dubench::model::{Decoder, PixelDecoder};
/// use ndarray::array;
///
/// let grey = array![[[[-3.0_f32, 0.0, 0.2, 1.0]]]];
/// let image = PixelDecoder::new([0.0, 1.0]).decode(grey.view())?;
/// assert_eq!(image, array![[[[0, 0, 51, 255]], [[0, 0, 51, 255]], [[0, 0, 51, 255]]]]);
/// # Ok::<(), dubench::model::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PixelDecoder {
    range: [f32; 2],
}

impl PixelDecoder {
    /// A decoder of states in `range`, `[low, high]`.
    pub fn new(range: [f32; 2]) -> Self {
        Self { range }
    }
}

impl Decoder for PixelDecoder {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        let levels = grey_levels(&x0, self.range, "pixel decoder")?;
        if levels.dim().1 != 1 {
            return Ok(levels);
        }
        let grey = levels.view();
        concatenate(Axis(1), &[grey, grey, grey]).map_err(|error| ModelError::Runtime {
            context: "repeating grey".to_owned(),
            message: error.to_string(),
        })
    }
}

/// Levels 0 to 255 of values in `range`.
pub(super) fn grey_levels(
    x0: &ArrayView4<'_, f32>,
    range: [f32; 2],
    model: &str,
) -> Result<Array4<u8>, ModelError> {
    let bad = x0.iter().filter(|value| !value.is_finite()).count();
    if bad == 0 {
        return Ok(x0.mapv(|value| grey_level(value, range)));
    }
    let broken = x0.outer_iter().enumerate();
    let rows = broken.filter(|(_, row)| row.iter().any(|value| !value.is_finite()));
    Err(ModelError::NotFinite {
        model: model.to_owned(),
        n: bad,
        total: x0.len(),
        t: None,
        rows: rows.map(|(row, _)| row).collect(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was clamped to its range, so the result lies in 0..=255"
)]
fn grey_level(value: f32, range: [f32; 2]) -> u8 {
    let [low, high] = range.map(f64::from);
    ((f64::from(value).clamp(low, high) - low) * (255.0 / (high - low))).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_grey_levels_survive_the_round_trip_in_both_ranges() {
        for level in 0..=255_u8 {
            assert_eq!(grey_level(f32::from(level) / 127.5 - 1.0, [-1.0, 1.0]), level);
            assert_eq!(grey_level(f32::from(level) / 255.0, [0.0, 1.0]), level);
        }
    }

    #[test]
    fn colours_keep_their_channels() {
        let x0 = Array4::from_shape_fn((1, 3, 1, 1), |(_, c, ..)| c as f32 - 1.0);
        let image = PixelDecoder::new([-1.0, 1.0]).decode(x0.view()).unwrap();
        assert_eq!(image.into_raw_vec_and_offset().0, [0, 128, 255]);
    }

    #[test]
    fn values_that_are_not_finite_are_refused_with_their_rows() {
        let mut x0 = Array4::zeros((3, 1, 1, 2));
        x0[[2, 0, 0, 1]] = f32::NAN;
        let error = PixelDecoder::new([0.0, 1.0]).decode(x0.view()).unwrap_err();
        assert!(matches!(error, ModelError::NotFinite { n: 1, total: 6, rows, .. } if rows == [2]));
    }
}
