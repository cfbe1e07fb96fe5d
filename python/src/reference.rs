//! `Reference`, `fid`, `frechet_distance`.

use dubench_metrics::{EstimateOptions, Gaussian, MetricError};
use ndarray::{ArrayView1, ArrayView2};
use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{Rows, Statistics};
use crate::compute::{compute, compute_over};
use crate::estimate::FidEstimate;

/// One side of a Fréchet distance, prepared once for many samples.
///
/// Holds the mean ``mu_r`` and the covariance ``S_r`` (divisor n - 1, float64) of the features, and a factor of ``S_r``.
///
/// Parameters
/// ----------
/// features : array [n, d], float32 or float64
///     Features of real images, one row an image; 2048 Inception features for FID.
///
/// Raises
/// ------
/// ValueError
///     For fewer than two rows, NaN or infinity, or an array that is no ``[n, d]``.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from dubench_metrics import Reference
/// >>> reference = Reference(np.array([[0.0, 1.0], [2.0, 5.0]]))
/// >>> reference.n, reference.dim, reference.mean.tolist()
/// (2, 2, [1.0, 3.0])
#[pyclass(frozen, module = "dubench_metrics")]
pub(crate) struct Reference {
    inner: dubench_metrics::Reference,
}

#[pymethods]
impl Reference {
    #[new]
    fn new(py: Python<'_>, features: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::of_rows(py, "features", features)
    }

    /// A reference from statistics as pytorch-fid's ``.npz`` files hold them.
    ///
    /// Parameters
    /// ----------
    /// mu : array [d], float64
    ///     Mean.
    /// sigma : array [d, d], float64
    ///     Covariance; symmetric to 1e-5 of its largest entry.
    /// n : int, optional
    ///     Number of images behind them; bounds the rank where it is known.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     For shapes that differ, NaN, or a matrix that is no covariance.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np
    /// >>> from dubench_metrics import Reference
    /// >>> reference = Reference.from_statistics(np.zeros(1), 4 * np.eye(1))
    /// >>> reference.distance_to_statistics(np.array([3.0]), np.eye(1))  # (0 - 3)^2 + (2 - 1)^2
    /// 10.0
    #[staticmethod]
    #[pyo3(signature = (mu, sigma, n=None))]
    fn from_statistics(
        py: Python<'_>,
        mu: &Bound<'_, PyAny>,
        sigma: &Bound<'_, PyAny>,
        n: Option<usize>,
    ) -> PyResult<Self> {
        let statistics = Statistics::new(("mu", mu), ("sigma", sigma))?;
        let views = statistics.views();
        let inner = compute(py, || dubench_metrics::Reference::new(gaussian(views, n)?))?;
        Ok(Self { inner })
    }

    /// The Fréchet distance of ``fake`` with its error bar: as `fid`, without preparing the real side again.
    #[pyo3(signature = (fake, *, splits=1, seed=0))]
    fn estimate(
        &self,
        py: Python<'_>,
        fake: &Bound<'_, PyAny>,
        splits: usize,
        seed: u64,
    ) -> PyResult<FidEstimate> {
        let rows = Rows::new("fake", fake)?;
        let (features, options) = (rows.features(), EstimateOptions { seed, splits });
        let inner = compute_over(py, "fake", || self.inner.estimate(features, &options))?;
        Ok(FidEstimate { inner })
    }

    /// The Fréchet distance of a sample of which only mean ``[d]``, covariance ``[d, d]`` and size are known.
    ///
    /// Error bar and bias are then those of Gaussian features, and there are no influence values.
    fn estimate_statistics(
        &self,
        py: Python<'_>,
        mu: &Bound<'_, PyAny>,
        sigma: &Bound<'_, PyAny>,
        n: usize,
    ) -> PyResult<FidEstimate> {
        let statistics = Statistics::new(("mu", mu), ("sigma", sigma))?;
        let views = statistics.views();
        let inner =
            compute(py, || self.inner.estimate_from_statistics(&gaussian(views, Some(n))?))?;
        Ok(FidEstimate { inner })
    }

    /// The Fréchet distance of the rows ``fake`` ``[n, d]`` alone, without an error bar: half the work of `estimate`.
    fn distance(&self, py: Python<'_>, fake: &Bound<'_, PyAny>) -> PyResult<f64> {
        let rows = Rows::new("fake", fake)?;
        let features = rows.features();
        compute_over(py, "fake", || self.inner.distance_to_features(features))
    }

    /// The Fréchet distance to a Gaussian of mean ``mu`` ``[d]`` and covariance ``sigma`` ``[d, d]``.
    fn distance_to_statistics(
        &self,
        py: Python<'_>,
        mu: &Bound<'_, PyAny>,
        sigma: &Bound<'_, PyAny>,
    ) -> PyResult<f64> {
        let statistics = Statistics::new(("mu", mu), ("sigma", sigma))?;
        let views = statistics.views();
        compute(py, || self.inner.distance(&gaussian(views, None)?))
    }

    /// Mean of the features, ``[d]``.
    #[getter]
    fn mean<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_owned_array(py, self.inner.gaussian().mean().to_owned())
    }

    /// Covariance of the features, ``[d, d]``, divisor n - 1.
    #[getter]
    fn covariance<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        PyArray2::from_owned_array(py, self.inner.gaussian().covariance().to_owned())
    }

    /// Number of images, None where it is not known.
    #[getter]
    fn n(&self) -> Option<usize> {
        self.inner.gaussian().n()
    }

    /// Number of features.
    #[getter]
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn __repr__(&self) -> String {
        let n = self.n().map_or_else(|| "None".to_owned(), |n| n.to_string());
        format!("Reference(n={n}, dim={})", self.dim())
    }
}

impl Reference {
    fn of_rows(py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let rows = Rows::new(name, value)?;
        let features = rows.features();
        let work = move || dubench_metrics::Reference::from_features(features);
        let inner = compute_over(py, name, work)?;
        Ok(Self { inner })
    }
}

/// The real side of a comparison, prepared: as it was given, or from its rows.
pub(crate) enum Real<'a> {
    Given(&'a Reference),
    Made(Reference),
}

impl<'a> Real<'a> {
    pub(crate) fn new(py: Python<'_>, value: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        match value.cast::<Reference>() {
            Ok(reference) => Ok(Self::Given(reference.get())),
            Err(_) => Ok(Self::Made(Reference::of_rows(py, "real", value)?)),
        }
    }

    pub(crate) fn inner(&self) -> &dubench_metrics::Reference {
        match self {
            Self::Given(reference) => &reference.inner,
            Self::Made(reference) => &reference.inner,
        }
    }
}

type Views<'a> = (ArrayView1<'a, f64>, ArrayView2<'a, f64>);

fn gaussian((mean, covariance): Views<'_>, n: Option<usize>) -> Result<Gaussian, MetricError> {
    Gaussian::new(mean.to_owned(), covariance.to_owned(), n)
}

/// The Fréchet distance of two sets of features, with its standard error, its bias and its value for infinitely many images.
///
/// ``F = |mu - mu_r|^2 + tr S + tr S_r - 2 tr (S S_r)^(1/2)`` (Heusel et al. 2017, arXiv:1706.08500): FID for Inception
/// ``pool3`` features, sFID and FD-DINOv2 for theirs. One image moves it by
/// ``phi(x) = 2 delta.(x - mu) + (x - mu)^T G (x - mu) - tr(G S)``, and ``se = sd(phi) / sqrt(n)`` (delta method; Rippl, Munk and
/// Sturm 2015, arXiv:1507.04090). ``bias`` is that of random halves, ``fid_inf = value - bias``. From equal features the value
/// is that of pytorch-fid to 1e-9.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64, or Reference
///     Features of real images. A `Reference` is prepared once for many calls.
/// fake : array [n, d], float32 or float64
///     Features of generated images, n >= 4.
/// splits : int
///     How many times the sample is halved for the bias.
/// seed : int
///     Seed of the halves.
///
/// Returns
/// -------
/// FidEstimate
///     In squared units of the features.
///
/// Raises
/// ------
/// ValueError
///     For shapes that do not fit, too few rows, NaN or infinity.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real, fake = rng.normal(size=(4000, 8)), rng.normal(0.1, 1.0, size=(2000, 8))
/// >>> found = dm.fid(real, fake)
/// >>> abs(found.fid_inf - 8 * 0.1**2) < 3 * found.se  # the means differ by 0.1 in each of 8 features
/// True
#[pyfunction]
#[pyo3(signature = (real, fake, *, splits=1, seed=0))]
fn fid(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    fake: &Bound<'_, PyAny>,
    splits: usize,
    seed: u64,
) -> PyResult<FidEstimate> {
    let (fake, real) = (Rows::new("fake", fake)?, Real::new(py, real)?);
    let (features, options) = (fake.features(), EstimateOptions { seed, splits });
    let inner = compute_over(py, "fake", || real.inner().estimate(features, &options))?;
    Ok(FidEstimate { inner })
}

/// The Fréchet distance of two Gaussians, ``|mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)``.
///
/// The trace of the root is that of a symmetric problem: no complex numbers and no matrix square root. Never NaN.
///
/// Parameters
/// ----------
/// mu_a, mu_b : array [d], float64
/// sigma_a, sigma_b : array [d, d], float64
///
/// Raises
/// ------
/// ValueError
///     For shapes that differ, NaN, or a matrix that is no covariance.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> dm.frechet_distance(np.zeros(1), 4 * np.eye(1), np.array([3.0]), np.eye(1))
/// 10.0
#[pyfunction]
fn frechet_distance(
    py: Python<'_>,
    mu_a: &Bound<'_, PyAny>,
    sigma_a: &Bound<'_, PyAny>,
    mu_b: &Bound<'_, PyAny>,
    sigma_b: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let a = Statistics::new(("mu_a", mu_a), ("sigma_a", sigma_a))?;
    let b = Statistics::new(("mu_b", mu_b), ("sigma_b", sigma_b))?;
    let (a, b) = (a.views(), b.views());
    compute(py, || dubench_metrics::frechet_distance(&gaussian(a, None)?, &gaussian(b, None)?))
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reference>()?;
    module.add_function(wrap_pyfunction!(fid, module)?)?;
    module.add_function(wrap_pyfunction!(frechet_distance, module)?)
}
