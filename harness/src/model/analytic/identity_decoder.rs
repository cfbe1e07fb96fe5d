//! From a final state in [-1, 1] to a u8 image, for models that work on pixels.

use ndarray::{Array4, ArrayView4};

use crate::model::pixel_decoder::grey_levels;
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
        grey_levels(&x0, [-1.0, 1.0], "identity decoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_are_refused_with_their_rows() {
        let mut x0 = Array4::zeros((3, 1, 1, 2));
        x0[[2, 0, 0, 1]] = f32::NAN;
        let error = IdentityDecoder.decode(x0.view()).unwrap_err();
        assert!(matches!(error, ModelError::NotFinite { n: 1, total: 6, rows, .. } if rows == [2]));
    }
}
