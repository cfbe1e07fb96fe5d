//! Thresholds that come from a generated set instead of from the image at hand.

use ndarray::{Array3, Array4, ArrayRef4, Axis};

use super::error::check_percentile;
use super::quantile::floor_index;
use super::{GuidanceError, quantile_linear};

/// One threshold a loop index: the data of a generated set, an artefact of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum StepThresholds {
    /// A threshold for each channel and pixel, `[n_steps, c, h, w]`: what the released code does.
    Pixel(Array4<f32>),
    /// One number a step: what the paper's text says ("95th percentile over 10,000 samples").
    Scalar(Vec<f64>),
}

impl StepThresholds {
    /// Refuses thresholds of another number of steps or another image shape.
    ///
    /// # Errors
    /// [`GuidanceError::ThresholdShape`].
    pub fn check(&self, n_steps: u32, shape: [usize; 3]) -> Result<(), GuidanceError> {
        let steps = n_steps as usize;
        let (got, expected) = match self {
            Self::Pixel(values) => {
                (values.shape().to_vec(), vec![steps, shape[0], shape[1], shape[2]])
            }
            Self::Scalar(values) => (vec![values.len()], vec![steps]),
        };
        if got == expected {
            return Ok(());
        }
        Err(GuidanceError::ThresholdShape { got, expected })
    }
}

/// Threshold for each channel and pixel of one step: of the `n` values at a place, sorted ascending,
/// the one at index `floor(n percentile)`. `maps` is `[n, c, h, w]`.
///
/// # Errors
/// [`GuidanceError`] without maps, for a percentile outside [0, 1] or a value that is not finite.
///
/// # Examples
/// ```
/// use dubench::guidance::dataset_pixel;
/// use ndarray::Array4;
///
/// let maps = Array4::from_shape_fn((20, 1, 1, 1), |(i, ..)| i as f32);
/// assert_eq!(dataset_pixel(&maps, 0.95)?[[0, 0, 0]], 19.0);
/// # Ok::<(), dubench::guidance::GuidanceError>(())
/// ```
pub fn dataset_pixel(maps: &ArrayRef4<f32>, percentile: f64) -> Result<Array3<f32>, GuidanceError> {
    check_maps(maps, percentile)?;
    let n = maps.shape()[0];
    let place = floor_index(n as f64 * percentile).min(n - 1);
    Ok(maps.map_axis(Axis(0), |values| {
        let mut values = values.to_vec();
        *values.select_nth_unstable_by(place, f32::total_cmp).1
    }))
}

/// One threshold for a whole step: the linear quantile over all images, channels and pixels.
///
/// # Errors
/// As [`dataset_pixel`].
pub fn dataset_scalar(maps: &ArrayRef4<f32>, percentile: f64) -> Result<f64, GuidanceError> {
    check_maps(maps, percentile)?;
    let mut values: Vec<f32> = maps.iter().copied().collect();
    quantile_linear(&mut values, percentile).ok_or(GuidanceError::NoMaps)
}

fn check_maps(maps: &ArrayRef4<f32>, percentile: f64) -> Result<(), GuidanceError> {
    check_percentile(percentile)?;
    if maps.is_empty() {
        return Err(GuidanceError::NoMaps);
    }
    match maps.iter().find(|value| !value.is_finite()) {
        Some(got) => Err(GuidanceError::NotFinite { got: *got }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixel_thresholds_are_taken_place_by_place() {
        let maps = Array4::from_shape_fn((100, 1, 1, 2), |(i, _, _, j)| {
            let shuffled = (i * 37) % 100;
            (shuffled + 1000 * j) as f32
        });
        let thresholds = dataset_pixel(&maps, 0.95).unwrap();
        assert_eq!(thresholds.as_slice().unwrap(), [95.0, 1095.0]);
        let top = dataset_pixel(&maps, 1.0).unwrap();
        assert_eq!(top[[0, 0, 0]].to_bits(), 99.0_f32.to_bits());
    }

    #[test]
    fn scalar_threshold_pools_everything() {
        let maps = Array4::from_shape_fn((3, 1, 1, 2), |(i, _, _, j)| (2 * i + j) as f32);
        assert!((dataset_scalar(&maps, 0.5).unwrap() - 2.5).abs() < 1e-12);
    }

    #[test]
    fn damaged_or_missing_maps_are_refused() {
        let none = Array4::<f32>::zeros((0, 1, 2, 2));
        assert_eq!(dataset_pixel(&none, 0.95), Err(GuidanceError::NoMaps));
        let mut maps = Array4::<f32>::zeros((2, 1, 2, 2));
        assert!(dataset_scalar(&maps, 95.0).is_err());
        maps[[1, 0, 0, 0]] = f32::INFINITY;
        assert!(matches!(dataset_pixel(&maps, 0.95), Err(GuidanceError::NotFinite { .. })));
        let thresholds = StepThresholds::Pixel(Array4::zeros((20, 1, 2, 2)));
        assert!(thresholds.check(20, [1, 2, 2]).is_ok());
        let message = thresholds.check(50, [1, 2, 2]).unwrap_err().to_string();
        assert!(
            message.contains("[20, 1, 2, 2]") && message.contains("[50, 1, 2, 2]"),
            "{message}"
        );
    }
}
