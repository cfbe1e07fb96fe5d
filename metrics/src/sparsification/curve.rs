//! The public function: from errors and uncertainties to AUSE and AURG.

use super::authors::as_released;
use super::options::{Pool, Preset, Sparsification, SparsificationCurve, SparsificationOptions};
use super::ranking::{Areas, measure};
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use ndarray::{Axis, Slice};
use rayon::prelude::*;

/// AUSE and AURG of `uncertainty` against `error`, both `[n_images, pixels]`.
///
/// `error` is signed or absolute, on any scale: `prediction - truth`, of which AUSE and AURG have the unit.
/// Sorting makes it O(n log n). The standard error respects that pixels of one image belong together: over images
/// for [`Pool::Image`]; for [`Pool::All`] by the infinitesimal jackknife, the derivative of the area by the weight of
/// each image (of the exact area, also under the presets).
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the shapes differ, [`MetricError::TooFewSamples`] without pixels,
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for zero intervals or 2^32 pixels in one ranking.
///
/// # Examples
/// ```
/// use dubench_metrics::sparsification::{SparsificationOptions, sparsification};
/// use ndarray::array;
/// let error = array![[1.0, -2.0, 0.0, 3.0]];
/// let options = SparsificationOptions::default();
/// let perfect = sparsification(&error, &error.mapv(f64::abs), &options)?;
/// assert_eq!(perfect.ause, 0.0);
/// let useless = sparsification(&error, &array![[5.0, 5.0, 5.0, 5.0]], &options)?;
/// assert!(useless.aurg.abs() < 1e-15);
/// // Kept 1, 2, 3, 4 of the squared errors 0, 1, 4, 9.
/// let oracle = (0.0 + (0.5_f64).sqrt() + (5.0_f64 / 3.0).sqrt() + (3.5_f64).sqrt()) / 4.0;
/// assert!((useless.ause - ((3.5_f64).sqrt() - oracle)).abs() < 1e-15);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn sparsification<'a, 'b>(
    error: impl Into<Features<'a>>,
    uncertainty: impl Into<Features<'b>>,
    options: &SparsificationOptions,
) -> Result<Sparsification> {
    let (error, uncertainty) = (error.into(), uncertainty.into());
    check_shapes(error, uncertainty, options)?;
    error.check_finite("the error")?;
    uncertainty.check_finite("the uncertainty")?;
    measured(error, uncertainty, options)
}

/// Refuses arrays of different sizes, empty ones, and a curve without points.
pub(super) fn check_shapes(
    error: Features<'_>,
    uncertainty: Features<'_>,
    options: &SparsificationOptions,
) -> Result<()> {
    same_length("the images of the uncertainty", uncertainty.n(), error.n())?;
    same_length("the pixels of the uncertainty", uncertainty.dim(), error.dim())?;
    at_least("the error (its images)", error.n(), 1)?;
    at_least("the error (its pixels)", error.dim(), 1)?;
    if options.intervals == 0 {
        return Err(MetricError::out_of_range("the number of intervals", 0, "at least 1"));
    }
    Ok(())
}

/// The areas of arrays that were checked: finite, or NaN in both, with a number in each image.
pub(super) fn measured(
    error: Features<'_>,
    uncertainty: Features<'_>,
    options: &SparsificationOptions,
) -> Result<Sparsification> {
    match (options.preset, options.pool) {
        (Preset::AuthorsCode { n_rows }, _) => {
            let (error, uncertainty) = as_released(error, uncertainty, n_rows)?;
            let preset = Preset::MonoUncertainty;
            pooled(Features::from(&error), Features::from(&uncertainty), options, preset)
        }
        (preset, Pool::All) => pooled(error, uncertainty, options, preset),
        (preset, Pool::Image) => per_image(error, uncertainty, options, preset),
    }
}

fn pooled(
    error: Features<'_>,
    uncertainty: Features<'_>,
    options: &SparsificationOptions,
    preset: Preset,
) -> Result<Sparsification> {
    let n_images = error.n();
    let measured = measure(error, uncertainty, preset, options.intervals)?;
    let areas = measured.areas;
    Ok(Sparsification {
        ause: areas.method - areas.oracle,
        aurg: areas.random - areas.method,
        rmse: areas.rmse,
        ause_se: measured.ause_se,
        aurg_se: measured.aurg_se,
        n_images,
        curve: curve(options.intervals, areas.method_curve, areas.oracle_curve, areas.rmse),
    })
}

fn per_image(
    error: Features<'_>,
    uncertainty: Features<'_>,
    options: &SparsificationOptions,
    preset: Preset,
) -> Result<Sparsification> {
    let n_images = error.n();
    let areas: Result<Vec<Areas>> = (0..n_images)
        .into_par_iter()
        .map(|i| {
            let (error, uncertainty) = (image(error, i), image(uncertainty, i));
            Ok(measure(error, uncertainty, preset, options.intervals)?.areas)
        })
        .collect();
    let areas = areas?;
    let ause: Vec<f64> = areas.iter().map(|a| a.method - a.oracle).collect();
    let aurg: Vec<f64> = areas.iter().map(|a| a.random - a.method).collect();
    let rmse = areas.iter().map(|a| a.rmse).sum::<f64>() / n_images as f64;
    let mean_curve = |pick: fn(&Areas) -> &[f64]| {
        let mut mean = vec![0.0; options.intervals + 1];
        for image in &areas {
            mean.iter_mut().zip(pick(image)).for_each(|(m, v)| *m += v / n_images as f64);
        }
        mean
    };
    let (method, oracle) = (mean_curve(|a| &a.method_curve), mean_curve(|a| &a.oracle_curve));
    Ok(Sparsification {
        ause: mean(&ause),
        aurg: mean(&aurg),
        rmse,
        ause_se: se_of_mean(&ause),
        aurg_se: se_of_mean(&aurg),
        n_images,
        curve: curve(options.intervals, method, oracle, rmse),
    })
}

/// One image, with the lifetime of the data.
fn image(values: Features<'_>, i: usize) -> Features<'_> {
    let only = Slice::from(i..=i);
    match values {
        Features::F32(rows) => Features::F32(rows.slice_axis_move(Axis(0), only)),
        Features::F64(rows) => Features::F64(rows.slice_axis_move(Axis(0), only)),
    }
}

fn curve(intervals: usize, method: Vec<f64>, oracle: Vec<f64>, random: f64) -> SparsificationCurve {
    SparsificationCurve {
        x: (0..=intervals).map(|k| k as f64 / intervals as f64).collect(),
        method,
        oracle,
        random: vec![random; intervals + 1],
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn se_of_mean(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let centre = mean(values);
    let squares: f64 = values.iter().map(|v| (v - centre) * (v - centre)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}
