//! `sparsification`: AUSE and AURG.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification as Found, SparsificationOptions, sparsification as exact,
    sparsification_ignoring_nan,
};
use pyo3::prelude::*;

use crate::arrays::{Rows, refused};
use crate::compute::compute;
use crate::result::{Numbers, result};

result! {
    /// AUSE, AURG and the curves behind them, in the unit of the error.
    Sparsification {
        /// Area between the curve and the oracle's: 0 for a perfect ranking.
        ause: f64,
        /// Area between chance and the curve: 0 for chance, negative if the uncertainty misleads.
        aurg: f64,
        /// Error of all pixels.
        rmse: f64,
        /// Standard error of ``ause`` over images; None for a single image.
        ause_se: Option<f64>,
        /// Standard error of ``aurg`` over images; None for a single image.
        aurg_se: Option<f64>,
        /// Number of images.
        n_images: usize,
        /// Pixels left out because error or uncertainty is NaN.
        n_ignored: usize,
        /// Images left out because every pixel of theirs is.
        n_empty: usize,
        /// Fraction removed, from 0 to 1.
        curve_x: Numbers,
        /// Error of what the uncertainty keeps.
        curve_method: Numbers,
        /// Error of what the oracle keeps.
        curve_oracle: Numbers,
        /// Error of what chance keeps: constant.
        curve_random: Numbers,
    }
}

/// Does removing the uncertain pixels remove the error? AUSE and AURG.
///
/// ``c(x)`` is the root mean squared error after the most uncertain fraction x is removed, ``c*(x)`` that of the oracle, which
/// removes by the error: ``AUSE = int c - c*``, ``AURG = int c(0) - c`` (Ilg et al. 2018, arXiv:1802.07095; Poggi et al. 2020,
/// arXiv:2005.06209).
///
/// Parameters
/// ----------
/// error : array [images, pixels], float32 or float64
///     Prediction less truth, signed or absolute.
/// uncertainty : array [images, pixels], float32 or float64
///     Any scale: only its order counts.
/// pool : 'image' or 'all'
///     Rank each image by itself, or all pixels together.
/// preset : 'exact', 'mono-uncertainty' or 'torch-uncertainty'
///     Without a grid and independent of ties, or as the tool of that name has it.
/// intervals : int
///     Points of the curve less one, and thresholds of 'mono-uncertainty'.
/// ignore_nan : bool
///     Take pixels that are NaN in either array as if they were not there. Otherwise they are refused.
///
/// Raises
/// ------
/// ValueError
///     For shapes that differ, NaN, no pixels, another preset.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> error = np.array([[1.0, -2.0, 0.0, 3.0]])
/// >>> dm.sparsification(error, np.abs(error)).ause
/// 0.0
/// >>> dm.sparsification(error, np.full((1, 4), 5.0)).aurg
/// 0.0
#[pyfunction]
#[pyo3(signature = (error, uncertainty, *, pool="image", preset="exact", intervals=50, ignore_nan=false))]
fn sparsification(
    py: Python<'_>,
    error: &Bound<'_, PyAny>,
    uncertainty: &Bound<'_, PyAny>,
    pool: &str,
    preset: &str,
    intervals: usize,
    ignore_nan: bool,
) -> PyResult<Sparsification> {
    let options =
        SparsificationOptions { pool: named_pool(pool)?, preset: named_preset(preset)?, intervals };
    let (error, uncertainty) = (Rows::new("error", error)?, Rows::new("uncertainty", uncertainty)?);
    let (of_error, of_uncertainty) = (error.features(), uncertainty.features());
    let (found, n_ignored, n_empty) = compute(py, || {
        if ignore_nan {
            let masked = sparsification_ignoring_nan(of_error, of_uncertainty, &options)?;
            return Ok((masked.found, masked.n_ignored, masked.n_empty));
        }
        Ok::<_, MetricError>((exact(of_error, of_uncertainty, &options)?, 0, 0))
    })?;
    Ok(answer(found, n_ignored, n_empty))
}

fn named_pool(name: &str) -> PyResult<Pool> {
    match name {
        "image" => Ok(Pool::Image),
        "all" => Ok(Pool::All),
        other => Err(refused(format!("pool is '{other}', expected 'image' or 'all'"))),
    }
}

fn named_preset(name: &str) -> PyResult<Preset> {
    match name {
        "exact" => Ok(Preset::Exact),
        "mono-uncertainty" => Ok(Preset::MonoUncertainty),
        "torch-uncertainty" => Ok(Preset::TorchUncertainty),
        other => Err(refused(format!(
            "preset is '{other}', expected 'exact', 'mono-uncertainty' or 'torch-uncertainty'"
        ))),
    }
}

fn answer(found: Found, n_ignored: usize, n_empty: usize) -> Sparsification {
    Sparsification {
        ause: found.ause,
        aurg: found.aurg,
        rmse: found.rmse,
        ause_se: found.ause_se,
        aurg_se: found.aurg_se,
        n_images: found.n_images,
        n_ignored,
        n_empty,
        curve_x: Numbers(found.curve.x),
        curve_method: Numbers(found.curve.method),
        curve_oracle: Numbers(found.curve.oracle),
        curve_random: Numbers(found.curve.random),
    }
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Sparsification>()?;
    module.add_function(wrap_pyfunction!(sparsification, module)?)
}
