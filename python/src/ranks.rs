//! Rank correlations, intervals, adjusted p-values, equal rows.

use dubench_metrics::{Features, MetricError};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arrays::{Rows, numbers};
use crate::compute::compute;
use crate::result::{Numbers, result};

result! {
    /// A rank correlation and the p-value of "no association". `float(found)` is its value.
    RankCorrelation {
        /// In [-1, 1].
        value: f64,
        /// Standard error under no association.
        null_se: f64,
        /// Two-sided, by the normal law; use at n >= 20.
        p: f64,
        /// Number of pairs.
        n: usize,
    }
    methods {
        fn __float__(&self) -> f64 {
            self.value
        }
    }
}

type Correlate = fn(&[f64], &[f64]) -> Result<dubench_metrics::RankCorrelation, MetricError>;

fn correlate(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    of: Correlate,
) -> PyResult<RankCorrelation> {
    let (x, y) = (numbers("x", x)?, numbers("y", y)?);
    let found = compute(py, || of(&x, &y))?;
    Ok(RankCorrelation { value: found.coefficient, null_se: found.null_se, p: found.p, n: found.n })
}

/// Spearman's rho: Pearson's correlation of the ranks, ties at their mean rank. An interval: `spearman_interval`.
///
/// Parameters
/// ----------
/// x, y : array [n]
///
/// Raises
/// ------
/// ValueError
///     For lengths that differ, fewer than three pairs, NaN, or a constant side.
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> round(dm.spearman([1, 2, 3, 4], [1, 3, 2, 4]).value, 12)
/// 0.8
#[pyfunction]
fn spearman(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
) -> PyResult<RankCorrelation> {
    correlate(py, x, y, dubench_metrics::spearman)
}

/// Kendall's tau-b, ``(C - D) / sqrt((n_0 - n_x) (n_0 - n_y))``, in O(n log n) (Knight 1966).
///
/// Parameters
/// ----------
/// x, y : array [n]
///
/// Raises
/// ------
/// ValueError
///     As `spearman`.
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> round(dm.kendall([1, 2, 3, 4], [1, 3, 2, 4]).value, 4)  # five pairs agree, one does not
/// 0.6667
#[pyfunction]
fn kendall(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
) -> PyResult<RankCorrelation> {
    correlate(py, x, y, dubench_metrics::kendall)
}

/// The interval of Spearman's rho of n pairs: Fisher's z with the variance of Bonett and Wright (2000). For ``|rho| < 0.95``.
///
/// Raises
/// ------
/// ValueError
///     Below four pairs; for rho outside [-1, 1] or a level outside (0, 1).
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> low, high = dm.spearman_interval(0.0, 103)
/// >>> round(high, 4), low == -high
/// (0.1935, True)
#[pyfunction]
#[pyo3(signature = (rho, n, level=0.95))]
fn spearman_interval(py: Python<'_>, rho: f64, n: usize, level: f64) -> PyResult<(f64, f64)> {
    compute(py, || dubench_metrics::spearman_interval(rho, n, level))
}

/// The interval of a share of which ``hits`` of ``n`` independent draws are a measurement, by Wilson's score (1927).
///
/// Not empty at 0 and 1: no hit in 200 draws says that the share is below 0.019, not that it is 0.
///
/// Raises
/// ------
/// ValueError
///     For more hits than draws, no draw, or a level outside (0, 1).
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> low, high = dm.share_interval(0, 200)
/// >>> low, round(high, 4)
/// (0.0, 0.0188)
#[pyfunction]
#[pyo3(signature = (hits, n, level=0.95))]
fn share_interval(py: Python<'_>, hits: usize, n: usize, level: f64) -> PyResult<(f64, f64)> {
    compute(py, || dubench_metrics::share_interval(hits, n, level))
}

/// p-values adjusted for how many tests there are, ``max over j <= i of min(1, (m - j + 1) p_(j))`` (Holm 1979).
///
/// Parameters
/// ----------
/// p_values : array [m]
///
/// Returns
/// -------
/// array [m], in the same order
///
/// Raises
/// ------
/// ValueError
///     For a p-value outside [0, 1].
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> dm.holm([0.01, 0.04, 0.03, 0.005]).round(12).tolist()
/// [0.03, 0.06, 0.06, 0.02]
#[pyfunction]
fn holm(py: Python<'_>, p_values: &Bound<'_, PyAny>) -> PyResult<Numbers> {
    let p_values = numbers("p_values", p_values)?;
    compute(py, || dubench_metrics::holm(&p_values)).map(Numbers)
}

/// A number for each row of each set, the same for equal rows and for no others.
///
/// A standard error takes each image as independent; a generator that repeats itself breaks that without a trace. The answer is
/// what `FidEstimate.se_by_group` takes.
///
/// Parameters
/// ----------
/// *sets : arrays [n_i, d], float32 or float64
///
/// Returns
/// -------
/// list of arrays [n_i], int64
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> first, second = dm.equal_rows(np.array([[1.0], [3.0]]), np.array([[3.0], [5.0], [5.0]]))
/// >>> first.tolist(), second.tolist()
/// ([0, 1], [1, 2, 2])
#[pyfunction]
#[pyo3(signature = (*sets))]
fn equal_rows<'py>(
    py: Python<'py>,
    sets: &Bound<'py, PyTuple>,
) -> PyResult<Vec<Bound<'py, PyArray1<i64>>>> {
    let name =
        |(index, set): (usize, Bound<'py, PyAny>)| Rows::new(&format!("sets[{index}]"), &set);
    let sets: Vec<Rows<'py>> = sets.iter().enumerate().map(name).collect::<PyResult<_>>()?;
    let features: Vec<Features<'_>> = sets.iter().map(Rows::features).collect();
    let groups = compute(py, || Ok(dubench_metrics::equal_rows(&features)))?;
    let signed = |rows: Vec<usize>| rows.into_iter().filter_map(|row| i64::try_from(row).ok());
    Ok(groups.into_iter().map(|rows| PyArray1::from_iter(py, signed(rows))).collect())
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RankCorrelation>()?;
    module.add_function(wrap_pyfunction!(spearman, module)?)?;
    module.add_function(wrap_pyfunction!(kendall, module)?)?;
    module.add_function(wrap_pyfunction!(spearman_interval, module)?)?;
    module.add_function(wrap_pyfunction!(share_interval, module)?)?;
    module.add_function(wrap_pyfunction!(holm, module)?)?;
    module.add_function(wrap_pyfunction!(equal_rows, module)?)
}
