//! Maps with holes: pixels for which nothing is known.

use super::curve::{check_shapes, measured};
use super::options::{Preset, Sparsification, SparsificationOptions};
use crate::error::{MetricError, Result};
use crate::features::Features;
use ndarray::{Array2, Axis};

/// AUSE and AURG of the pixels that have a number, and what was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedSparsification {
    /// The areas; `n_images` counts the images that have a pixel left.
    pub found: Sparsification,
    /// Pixels left out because their error or their uncertainty is NaN, in images that have others.
    pub n_ignored: usize,
    /// Images left out because every pixel of theirs is.
    pub n_empty: usize,
}

/// [`sparsification`](super::sparsification) of the pixels where neither `error` nor `uncertainty` is NaN, as sensors leave
/// them in depth maps: the same as if the other pixels had never been there.
///
/// # Errors
/// Those of [`sparsification`](super::sparsification), for infinity in place of NaN; [`MetricError::TooFewSamples`] if no
/// pixel is left; [`MetricError::OutOfRange`] for [`Preset::AuthorsCode`], whose arrays know no holes.
///
/// # Examples
/// ```
/// use dubench_metrics::sparsification::{SparsificationOptions, sparsification, sparsification_ignoring_nan};
/// use ndarray::array;
/// let options = SparsificationOptions::default();
/// let (error, uncertainty) = (array![[1.0, f64::NAN, 2.0, 7.0]], array![[0.3, 0.1, 0.2, f64::NAN]]);
/// let masked = sparsification_ignoring_nan(&error, &uncertainty, &options)?;
/// assert_eq!((masked.n_ignored, masked.n_empty), (2, 0));
/// assert_eq!(masked.found, sparsification(&array![[1.0, 2.0]], &array![[0.3, 0.2]], &options)?);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn sparsification_ignoring_nan<'a, 'b>(
    error: impl Into<Features<'a>>,
    uncertainty: impl Into<Features<'b>>,
    options: &SparsificationOptions,
) -> Result<MaskedSparsification> {
    let (error, uncertainty) = (error.into(), uncertainty.into());
    check_shapes(error, uncertainty, options)?;
    if matches!(options.preset, Preset::AuthorsCode { .. }) {
        let preset = "the preset authors-code";
        return Err(MetricError::out_of_range(preset, "used with a mask", "arrays without NaN"));
    }
    let found = match (error, uncertainty) {
        (Features::F32(error), Features::F32(uncertainty)) => {
            let masked = Masked::new(error.to_owned(), uncertainty.to_owned(), f32::is_nan)?;
            masked.check(f32::is_infinite)?;
            (
                measured((&masked.error).into(), (&masked.uncertainty).into(), options)?,
                masked.left_out,
            )
        }
        (error, uncertainty) => {
            let masked = Masked::new(widened(error), widened(uncertainty), f64::is_nan)?;
            masked.check(f64::is_infinite)?;
            (
                measured((&masked.error).into(), (&masked.uncertainty).into(), options)?,
                masked.left_out,
            )
        }
    };
    let (found, (n_ignored, n_empty)) = found;
    Ok(MaskedSparsification { found, n_ignored, n_empty })
}

/// Arrays that are NaN in the same places, and in no image everywhere.
struct Masked<T> {
    error: Array2<T>,
    uncertainty: Array2<T>,
    /// Pixels and images.
    left_out: (usize, usize),
}

impl<T: Copy + ToString> Masked<T> {
    fn new(mut error: Array2<T>, mut uncertainty: Array2<T>, nan: fn(T) -> bool) -> Result<Self> {
        for (e, u) in error.iter_mut().zip(&mut uncertainty) {
            if nan(*e) {
                *u = *e;
            } else if nan(*u) {
                *e = *u;
            }
        }
        let holes: Vec<usize> =
            error.outer_iter().map(|image| image.iter().filter(|v| nan(**v)).count()).collect();
        let pixels = error.ncols();
        let kept: Vec<usize> = (0..holes.len()).filter(|&i| holes[i] < pixels).collect();
        if kept.is_empty() {
            let (what, needed) = ("the error without NaN (its pixels)", 1);
            return Err(MetricError::TooFewSamples { what, got: 0, needed });
        }
        let left_out = (kept.iter().map(|&i| holes[i]).sum(), holes.len() - kept.len());
        if left_out.1 > 0 {
            error = error.select(Axis(0), &kept);
            uncertainty = uncertainty.select(Axis(0), &kept);
        }
        Ok(Self { error, uncertainty, left_out })
    }

    fn check(&self, infinite: fn(T) -> bool) -> Result<()> {
        for (what, values) in [("the error", &self.error), ("the uncertainty", &self.uncertainty)] {
            if let Some(((row, column), value)) = values.indexed_iter().find(|(_, v)| infinite(**v))
            {
                return Err(MetricError::NonFinite { what, row, column, value: value.to_string() });
            }
        }
        Ok(())
    }
}

fn widened(values: Features<'_>) -> Array2<f64> {
    match values {
        Features::F32(rows) => rows.mapv(f64::from),
        Features::F64(rows) => rows.to_owned(),
    }
}
