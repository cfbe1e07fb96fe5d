//! One ranking of pixels, and its areas in any convention.

use super::exact::{ExactCurve, Ranked};
use super::interval::{GridCurve, at_grid, normalised_curve, percentile_curve, resampled};
use super::options::Preset;
use super::order::{Packed, ascending_f32, ascending_f64, check_count};
use crate::error::Result;
use crate::features::Features;
use ndarray::ArrayView2;
use std::borrow::Cow;

/// The three areas and curves of one ranking.
pub(super) struct Areas {
    pub(super) method: f64,
    pub(super) oracle: f64,
    pub(super) random: f64,
    pub(super) rmse: f64,
    pub(super) method_curve: Vec<f64>,
    pub(super) oracle_curve: Vec<f64>,
}

/// Areas, and their standard errors over images where there are several.
pub(super) struct Measured {
    pub(super) areas: Areas,
    pub(super) ause_se: Option<f64>,
    pub(super) aurg_se: Option<f64>,
}

/// Ranks all pixels of `error` and `uncertainty`, both `[images, pixels]`, together. Pixels are finite or NaN in both, and
/// those that are NaN take no part.
pub(super) fn measure(
    error: Features<'_>,
    uncertainty: Features<'_>,
    preset: Preset,
    intervals: usize,
) -> Result<Measured> {
    check_count(error.n() * error.dim())?;
    if let (Features::F32(error), Features::F32(uncertainty)) = (error, uncertainty) {
        let flat = row_major(&error);
        let (oracle, method) = rayon::join(
            || ascending_f32(error.iter().map(|e| e.abs())),
            || ascending_f32(uncertainty.iter().copied()),
        );
        let squared = |pixel: usize| f64::from(flat[pixel]) * f64::from(flat[pixel]);
        return Ok(Ranking::new(method, oracle, squared, error.dim()).measure(preset, intervals));
    }
    let (error, uncertainty) = (widened(error), widened(uncertainty));
    let error = error.view();
    let (oracle, method) = rayon::join(
        || ascending_f64(error.iter().map(|e| e.abs())),
        || ascending_f64(uncertainty.iter().copied()),
    );
    let flat = row_major(&error);
    let squared = |pixel: usize| flat[pixel] * flat[pixel];
    Ok(Ranking::new(method, oracle, squared, error.dim()).measure(preset, intervals))
}

/// Values in row-major order, without a copy where they lie so already.
fn row_major<'a, T: Copy>(rows: &'a ArrayView2<'_, T>) -> Cow<'a, [T]> {
    match rows.as_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(rows.iter().copied().collect()),
    }
}

fn widened(values: Features<'_>) -> ndarray::CowArray<'_, f64, ndarray::Ix2> {
    match values {
        Features::F32(rows) => rows.mapv(f64::from).into(),
        Features::F64(rows) => rows.into(),
    }
}

/// The order by uncertainty and that of the oracle, by the error itself.
struct Ranking<P> {
    method: Ranked<P>,
    oracle: Ranked<P>,
    images: usize,
    pixels: usize,
}

impl<P: Packed> Ranking<P> {
    fn new(
        method: Vec<P>,
        oracle: Vec<P>,
        squared: impl Fn(usize) -> f64 + Sync,
        (images, pixels): (usize, usize),
    ) -> Self {
        // The oracle's key is the magnitude of the error, so its squares need no look-up.
        let (method, oracle) = rayon::join(
            || Ranked::new(method, |p| squared(p.pixel())),
            || Ranked::new(oracle, |p| p.value() * p.value()),
        );
        Self { method, oracle, images, pixels }
    }

    fn measure(&self, preset: Preset, intervals: usize) -> Measured {
        if preset != Preset::Exact && self.images < 2 {
            let areas = self.grid_areas(preset, intervals);
            return Measured { areas, ause_se: None, aurg_se: None };
        }
        let (method, oracle) = rayon::join(|| self.method.curve(), || self.oracle.curve());
        let areas = match preset {
            Preset::Exact => exact_areas(&method, &oracle, intervals),
            _ => self.grid_areas(preset, intervals),
        };
        let (ause_se, aurg_se) = self.standard_errors(&method, &oracle);
        Measured { areas, ause_se, aurg_se }
    }

    fn rmse(&self) -> f64 {
        (self.oracle.squared.iter().sum::<f64>() / self.oracle.squared.len() as f64).sqrt()
    }

    fn grid_areas(&self, preset: Preset, intervals: usize) -> Areas {
        let (method, oracle) = (&self.method, &self.oracle);
        let rmse = self.rmse();
        if preset == Preset::TorchUncertainty {
            let magnitude =
                |ranked: &Ranked<P>| normalised_curve(ranked.squared.iter().map(|e| e.sqrt()));
            let (mut method, mut oracle) = rayon::join(|| magnitude(method), || magnitude(oracle));
            let n = self.oracle.squared.len() as f64;
            let random = if rmse == 0.0 { 0.0 } else { (n - 1.0) / n };
            method.values = resampled(&method.values, intervals);
            oracle.values = resampled(&oracle.values, intervals);
            return grid_areas(method, oracle, random, f64::from(random > 0.0));
        }
        let (method, oracle) = rayon::join(
            || percentile_curve(|rank| method.order[rank].value(), &method.squared, intervals),
            || percentile_curve(|rank| oracle.squared[rank], &oracle.squared, intervals),
        );
        grid_areas(method, oracle, rmse, rmse)
    }

    /// Standard errors of the exact AUSE and AURG by the infinitesimal jackknife over images.
    fn standard_errors(
        &self,
        method: &ExactCurve,
        oracle: &ExactCurve,
    ) -> (Option<f64>, Option<f64>) {
        if self.images < 2 {
            return (None, None);
        }
        let by_image = |ranked: &Ranked<P>, curve: &ExactCurve| {
            let mut totals = vec![0.0; self.images];
            ranked.add_derivative(curve, self.pixels, &mut totals);
            totals
        };
        let (method, oracle) =
            rayon::join(|| by_image(&self.method, method), || by_image(&self.oracle, oracle));
        let random = self.rmse_derivative();
        let m = self.images as f64;
        let spread = |a: &[f64], b: &[f64]| {
            let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            Some((m / (m - 1.0) * squares).sqrt())
        };
        (spread(&method, &oracle), spread(&random, &method))
    }

    /// `dRMSE/dw` summed over the pixels of each image: `(e_l - RMSE^2) / (2 n RMSE)`.
    fn rmse_derivative(&self) -> Vec<f64> {
        let rmse = self.rmse();
        let mut totals = vec![0.0; self.images];
        if rmse > 0.0 {
            for (pixel, squared) in self.oracle.order.iter().zip(&self.oracle.squared) {
                totals[pixel.pixel() / self.pixels] += squared - rmse * rmse;
            }
            let scale = 1.0 / (2.0 * rmse * self.oracle.order.len() as f64);
            totals.iter_mut().for_each(|total| *total *= scale);
        }
        totals
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
