//! The public function: from errors and uncertainties to AUSE and AURG.

#![expect(clippy::float_cmp, reason = "ties are equal numbers")]

use super::authors::as_released;
use super::exact::{ExactCurve, Ranked};
use super::interval::{
    GridCurve, at_grid, normalised_curve, percentile_curve, resampled, suffix_means,
};
use super::order::ascending;
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;
use std::borrow::Cow;

/// Which pixels are ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Each image on its own; areas and curves are averaged over images.
    Image,
    /// All pixels of all images in one ranking.
    All,
}

/// How the area is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Every number of pixels kept, ties at their mean: no grid, no dependence on the order of equal values.
    Exact,
    /// Percentile thresholds with `NumPy`'s interpolation, ties all kept, a zero appended, trapezoid rule. A constant
    /// uncertainty has AURG = RMSE / (2 intervals), not 0.
    MonoUncertainty,
    /// Mean absolute error of what is kept over that of all, at every rank, trapezoid rule up to `(n - 1) / n`; as
    /// torch-uncertainty does since it divides by the number kept. AURG is the same rule with a constant 1.
    TorchUncertainty,
    /// The script released with arXiv:2412.00205: half precision, arrays padded with zero rows to `n_rows` images,
    /// one ranking, then [`Preset::MonoUncertainty`]. Its numbers are artefacts; see [`authors_code_error`].
    ///
    /// [`authors_code_error`]: super::authors_code_error
    AuthorsCode {
        /// Images in the padded arrays; at least those given.
        n_rows: usize,
    },
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparsificationOptions {
    /// Which pixels are ranked together.
    pub pool: Pool,
    /// How the area is computed.
    pub preset: Preset,
    /// Points of the curve less one, and thresholds of [`Preset::MonoUncertainty`].
    pub intervals: usize,
}

impl Default for SparsificationOptions {
    /// Per image, exact, 50 intervals.
    fn default() -> Self {
        Self { pool: Pool::Image, preset: Preset::Exact, intervals: 50 }
    }
}

/// Curves against the fraction removed.
#[derive(Debug, Clone, PartialEq)]
pub struct SparsificationCurve {
    /// Fraction removed, from 0 to 1.
    pub x: Vec<f64>,
    /// Error of what the uncertainty keeps.
    pub method: Vec<f64>,
    /// Error of what the oracle keeps.
    pub oracle: Vec<f64>,
    /// Error of what chance keeps: constant.
    pub random: Vec<f64>,
}

/// AUSE, AURG and the curves behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparsification {
    /// Area between the curve and the oracle's.
    pub ause: f64,
    /// Area between chance and the curve; negative if the uncertainty misleads.
    pub aurg: f64,
    /// Error of all pixels: RMSE (mean over images for [`Pool::Image`]; 1 for [`Preset::TorchUncertainty`]).
    pub rmse: f64,
    /// Standard error of `ause` over images, `None` for a single image.
    pub ause_se: Option<f64>,
    /// Standard error of `aurg` over images, `None` for a single image.
    pub aurg_se: Option<f64>,
    /// Number of images.
    pub n_images: usize,
    /// The curves.
    pub curve: SparsificationCurve,
}

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
    same_length("the images of the uncertainty", uncertainty.n(), error.n())?;
    same_length("the pixels of the uncertainty", uncertainty.dim(), error.dim())?;
    at_least("the error (its images)", error.n(), 1)?;
    at_least("the error (its pixels)", error.dim(), 1)?;
    error.check_finite("the error")?;
    uncertainty.check_finite("the uncertainty")?;
    if options.intervals == 0 {
        return Err(MetricError::out_of_range("the number of intervals", 0, "at least 1"));
    }
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

/// Values in row-major order, without a copy where they lie so already.
enum Flat<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
}

impl<'a> Flat<'a> {
    fn new(values: Features<'a>) -> Self {
        match values {
            Features::F32(rows) => Self::F32(match rows.to_slice() {
                Some(slice) => Cow::Borrowed(slice),
                None => Cow::Owned(rows.iter().copied().collect()),
            }),
            Features::F64(rows) => Self::F64(match rows.to_slice() {
                Some(slice) => Cow::Borrowed(slice),
                None => Cow::Owned(rows.iter().copied().collect()),
            }),
        }
    }

    fn at(&self, pixel: usize) -> f64 {
        match self {
            Self::F32(values) => f64::from(values[pixel]),
            Self::F64(values) => values[pixel],
        }
    }
}

/// One ranking, prepared for any preset.
struct Ranking<'a> {
    uncertainty: Flat<'a>,
    squared: Vec<f64>,
    by_uncertainty: Vec<u32>,
    by_error: Vec<u32>,
}

/// The three areas and curves of one ranking.
struct Areas {
    method: f64,
    oracle: f64,
    random: f64,
    rmse: f64,
    method_curve: Vec<f64>,
    oracle_curve: Vec<f64>,
}

impl<'a> Ranking<'a> {
    fn new(error: Features<'_>, uncertainty: Features<'a>) -> Result<Self> {
        let squared: Vec<f64> = match error {
            Features::F32(rows) => rows.iter().map(|&e| f64::from(e) * f64::from(e)).collect(),
            Features::F64(rows) => rows.iter().map(|&e| e * e).collect(),
        };
        // Narrowed squares would merge neighbours; the magnitude orders as the square does.
        let by_error = match error {
            Features::F32(rows) => ascending(Features::from(&rows.mapv(f32::abs)))?,
            Features::F64(rows) => ascending(Features::from(&rows.mapv(f64::abs)))?,
        };
        let by_uncertainty = ascending(uncertainty)?;
        let uncertainty = Flat::new(uncertainty);
        Ok(Self { uncertainty, squared, by_uncertainty, by_error })
    }

    fn uncertainty_at(&self, pixel: usize) -> f64 {
        self.uncertainty.at(pixel)
    }

    fn ranked(&self) -> (Ranked<'_>, Ranked<'_>) {
        let method = Ranked::new(&self.by_uncertainty, &self.squared, |a, b| {
            self.uncertainty_at(a) == self.uncertainty_at(b)
        });
        let oracle =
            Ranked::new(&self.by_error, &self.squared, |a, b| self.squared[a] == self.squared[b]);
        (method, oracle)
    }

    fn rmse(&self) -> f64 {
        (self.squared.iter().sum::<f64>() / self.squared.len() as f64).sqrt()
    }

    fn areas(&self, preset: Preset, intervals: usize) -> Areas {
        match preset {
            Preset::Exact => {
                let (method, oracle) = self.ranked();
                exact_areas(&method.curve(), &oracle.curve(), intervals)
            }
            Preset::MonoUncertainty | Preset::AuthorsCode { .. } => {
                let rmse = self.rmse();
                let method =
                    self.percentile(&self.by_uncertainty, intervals, |i| self.uncertainty_at(i));
                let oracle = self.percentile(&self.by_error, intervals, |i| self.squared[i]);
                grid_areas(method, oracle, rmse, rmse)
            }
            Preset::TorchUncertainty => {
                let magnitude = |order: &[u32]| {
                    normalised_curve(order.iter().map(|&i| self.squared[i as usize].sqrt()))
                };
                let mut method = magnitude(&self.by_uncertainty);
                let mut oracle = magnitude(&self.by_error);
                let n = self.squared.len() as f64;
                let random = if self.rmse() == 0.0 { 0.0 } else { (n - 1.0) / n };
                method.values = resampled(&method.values, intervals);
                oracle.values = resampled(&oracle.values, intervals);
                grid_areas(method, oracle, random, f64::from(random > 0.0))
            }
        }
    }

    fn percentile(&self, order: &[u32], intervals: usize, key: impl Fn(usize) -> f64) -> GridCurve {
        let keys: Vec<f64> = order.iter().rev().map(|&i| -key(i as usize)).collect();
        let means = suffix_means(order.iter().rev().map(|&i| self.squared[i as usize]));
        percentile_curve(&keys, &means, intervals)
    }

    /// Standard errors of the exact AUSE and AURG by the infinitesimal jackknife over `images` images.
    fn standard_errors(&self, images: usize) -> (Option<f64>, Option<f64>) {
        if images < 2 {
            return (None, None);
        }
        let pixels = self.squared.len() / images;
        let (method, oracle) = self.ranked();
        let curve = method.curve();
        let rmse = self.rmse();
        let mut ause = vec![0.0; images];
        let mut aurg = vec![0.0; images];
        method.add_derivative(&curve, 1.0, pixels, &mut ause);
        aurg.iter_mut().zip(&ause).for_each(|(gain, area)| *gain = -area);
        oracle.add_derivative(&oracle.curve(), -1.0, pixels, &mut ause);
        if rmse > 0.0 {
            let scale = 1.0 / (2.0 * rmse * self.squared.len() as f64);
            for (gain, image) in aurg.iter_mut().zip(self.squared.chunks_exact(pixels)) {
                *gain += scale * image.iter().map(|e| e - rmse * rmse).sum::<f64>();
            }
        }
        let m = images as f64;
        let spread = |d: &[f64]| (m / (m - 1.0) * d.iter().map(|v| v * v).sum::<f64>()).sqrt();
        (Some(spread(&ause)), Some(spread(&aurg)))
    }
}

fn exact_areas(method: &ExactCurve, oracle: &ExactCurve, intervals: usize) -> Areas {
    let rmse = method.rmse_of_kept.last().copied().unwrap_or(0.0);
    Areas {
        method: method.area,
        oracle: oracle.area,
        random: rmse,
        rmse,
        method_curve: at_grid(method, intervals),
        oracle_curve: at_grid(oracle, intervals),
    }
}

fn grid_areas(method: GridCurve, oracle: GridCurve, random: f64, rmse: f64) -> Areas {
    Areas {
        method: method.area,
        oracle: oracle.area,
        random,
        rmse,
        method_curve: method.values,
        oracle_curve: oracle.values,
    }
}

fn pooled(
    error: Features<'_>,
    uncertainty: Features<'_>,
    options: &SparsificationOptions,
    preset: Preset,
) -> Result<Sparsification> {
    let n_images = error.n();
    let ranking = Ranking::new(error, uncertainty)?;
    let areas = ranking.areas(preset, options.intervals);
    let (ause_se, aurg_se) = ranking.standard_errors(n_images);
    Ok(Sparsification {
        ause: areas.method - areas.oracle,
        aurg: areas.random - areas.method,
        rmse: areas.rmse,
        ause_se,
        aurg_se,
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
            let ranking = Ranking::new(image(error, i), image(uncertainty, i))?;
            Ok(ranking.areas(preset, options.intervals))
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

/// Rows of zeros below `rows`, up to `n_rows`.
pub(super) fn padded(rows: Vec<f32>, pixels: usize, n_rows: usize) -> Result<Array2<f32>> {
    let mut rows = rows;
    rows.resize(n_rows * pixels, 0.0);
    Array2::from_shape_vec((n_rows, pixels), rows)
        .map_err(|e| MetricError::out_of_range("the padded arrays", e, "[n_rows, pixels]"))
}
