//! From a final state in [-1, 1] to a u8 image, for models that work on pixels.

use ndarray::{Array4, ArrayView4};

use crate::model::{Decoder, ModelError};

/// `round(127.5 (clamp(x, -1, 1) + 1))`, halves to the even neighbour.
///
/// # Why halves to even?
/// `torch.round` and NumPy do so; with another rule an image differs in single grey levels.
///
/// # Examples
/// ```
/// use dubench::model::Decoder;
/// use dubench::model::analytic::IdentityDecoder;
/// use ndarray::array;
///
/// let x0 = array![[[[-3.0_f32, -1.0, 0.0, 1.0, 9.0]]]];
/// let image = IdentityDecoder.decode(x0.view())?;
/// assert_eq!(image, array![[[[0, 0, 128, 255, 255]]]]);
/// # Ok::<(), dubench::model::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityDecoder;

impl Decoder for IdentityDecoder {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        let bad = x0.iter().filter(|value| !value.is_finite()).count();
        if bad == 0 {
            return Ok(x0.mapv(grey_level));
        }
        let broken = x0.outer_iter().enumerate();
        let rows = broken.filter(|(_, row)| row.iter().any(|value| !value.is_finite()));
        Err(ModelError::NotFinite {
            model: "identity decoder".to_owned(),
            n: bad,
            total: x0.len(),
            t: None,
            rows: rows.map(|(row, _)| row).collect(),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was clamped to [-1, 1], so the result lies in 0..=255"
)]
fn grey_level(value: f32) -> u8 {
    ((f64::from(value).clamp(-1.0, 1.0) + 1.0) * 127.5).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_grey_levels_survive_the_round_trip() {
        for level in 0..=255_u8 {
            assert_eq!(grey_level(f32::from(level) / 127.5 - 1.0), level);
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_with_their_rows() {
        let mut x0 = Array4::zeros((3, 1, 1, 2));
        x0[[2, 0, 0, 1]] = f32::NAN;
        let error = IdentityDecoder.decode(x0.view()).unwrap_err();
        assert!(matches!(error, ModelError::NotFinite { n: 1, total: 6, rows, .. } if rows == [2]));
    }
}
