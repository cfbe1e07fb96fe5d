//! `Moments`: mean and covariance of features that do not fit in memory.

use std::sync::{Mutex, PoisonError};

use dubench_metrics::{Moments as Finished, MomentsBuilder};
use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::Rows;
use crate::compute::compute;

/// Mean and covariance of features that arrive in batches.
///
/// Sums are float64 over fixed blocks of 1024 rows with their rounding errors kept: the same bits however the rows are cut into
/// batches, and for any number of threads. Needs ``8 d^2`` bytes, twice.
///
/// Parameters
/// ----------
/// dim : int
///     Number of features.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rows = np.random.default_rng(0).normal(size=(3000, 4))
/// >>> moments = dm.Moments(4)
/// >>> for batch in np.array_split(rows, 7):
/// ...     moments.push(batch)
/// >>> mu, sigma = moments.statistics()
/// >>> np.allclose(sigma, np.cov(rows, rowvar=False)), moments.n
/// (True, 3000)
#[pyclass(frozen, module = "dubench_metrics")]
pub(crate) struct Moments {
    builder: Mutex<MomentsBuilder>,
    dim: usize,
}

#[pymethods]
impl Moments {
    #[new]
    fn new(dim: usize) -> Self {
        Self { builder: Mutex::new(MomentsBuilder::new(dim)), dim }
    }

    /// Takes the rows ``features`` ``[n, d]`` in, after those before.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     For another number of features, NaN or infinity. After a refusal the sums are of no use: start anew.
    fn push(&self, py: Python<'_>, features: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = Rows::new("features", features)?;
        let features = rows.features();
        compute(py, || self.builder().push(features))
    }

    /// Mean ``[d]`` and covariance ``[d, d]`` (divisor n - 1) of all rows so far.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     Below two rows.
    #[expect(clippy::type_complexity, reason = "a pair of arrays")]
    fn statistics<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>)> {
        let gaussian = compute(py, || self.finished().gaussian())?;
        let mean = PyArray1::from_owned_array(py, gaussian.mean().to_owned());
        Ok((mean, PyArray2::from_owned_array(py, gaussian.covariance().to_owned())))
    }

    /// Number of rows so far.
    #[getter]
    fn n(&self, py: Python<'_>) -> PyResult<usize> {
        compute(py, || Ok(self.finished().n()))
    }

    /// Number of features.
    #[getter]
    fn dim(&self) -> usize {
        self.dim
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Moments(n={}, dim={})", self.n(py)?, self.dim))
    }
}

impl Moments {
    fn builder(&self) -> std::sync::MutexGuard<'_, MomentsBuilder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self) -> Finished {
        self.builder().clone().finish()
    }
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Moments>()
}
