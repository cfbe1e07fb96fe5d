//! `FidEstimate`, `Comparison` and the tests of a difference.

use dubench_metrics::{
    Basis, EstimateOptions, FrechetEstimate, MetricError, Pairing, SampleRegime,
};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Rows, indices, numbers, places, refused};
use crate::compute::{compute, compute_over};
use crate::reference::Real;
use crate::result::{Numbers, Show, result};

/// A Fréchet distance and how well it is known. `float(found)` is its value.
///
/// ``value`` is what every tool reports. Read ``fid_inf`` and its interval only where ``small_sample`` is False.
#[pyclass(frozen, module = "dubench_metrics")]
pub(crate) struct FidEstimate {
    pub(crate) inner: FrechetEstimate,
}

#[pymethods]
impl FidEstimate {
    /// The distance to this sample, as every tool reports it.
    #[getter]
    fn value(&self) -> f64 {
        self.inner.fid
    }

    /// Standard error of ``value``: ``sd(phi) / sqrt(n)``; from statistics that of Gaussian features.
    #[getter]
    fn se(&self) -> f64 {
        self.inner.se
    }

    /// How much too large ``value`` is on average because n is finite.
    #[getter]
    fn bias(&self) -> f64 {
        self.inner.bias
    }

    /// ``value - bias``: the distance for infinitely many images. May be slightly negative for equal distributions.
    #[getter]
    fn fid_inf(&self) -> f64 {
        self.inner.fid_inf
    }

    /// Standard error of ``fid_inf``.
    #[getter]
    fn fid_inf_se(&self) -> f64 {
        self.inner.fid_inf_se
    }

    /// Standard error that Gaussian features would have.
    #[getter]
    fn se_gaussian(&self) -> f64 {
        self.inner.se_gaussian
    }

    /// Bias that Gaussian features would have; too low for heavy tails.
    #[getter]
    fn bias_gaussian(&self) -> f64 {
        self.inner.bias_gaussian
    }

    /// Number of images.
    #[getter]
    fn n(&self) -> usize {
        self.inner.n
    }

    /// Number of features.
    #[getter]
    fn dim(&self) -> usize {
        self.inner.dim
    }

    /// Whether there are fewer than 4 images a feature: then ``se`` is an upper bound, and ``fid_inf`` comes out too small.
    #[getter]
    fn small_sample(&self) -> bool {
        self.inner.regime == SampleRegime::Small
    }

    /// ``phi`` of each image, ``[n]``, mean zero: one more copy of image i moves ``value`` by ``phi_i / n``. Empty where
    /// only statistics were given.
    #[getter]
    fn influence<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, &self.inner.influence)
    }

    /// The interval that covers the distance for infinitely many images with probability ``level``.
    #[pyo3(signature = (level=0.95))]
    fn interval(&self, level: f64) -> PyResult<(f64, f64)> {
        self.inner.interval(level).map_err(|error| refused(error.to_string()))
    }

    /// The standard error where images of one group count as one draw (see `equal_rows`); None for a single group.
    fn se_by_group(&self, groups: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        let groups = places("groups", groups)?;
        self.inner.se_by_group(&groups).map_err(|error| refused(error.to_string()))
    }

    fn __float__(&self) -> f64 {
        self.inner.fid
    }

    fn __repr__(&self) -> String {
        let found = &self.inner;
        format!(
            "FidEstimate(value={}, se={}, bias={}, fid_inf={}, n={}, dim={}{})",
            found.fid.show(),
            found.se.show(),
            found.bias.show(),
            found.fid_inf.show(),
            found.n,
            found.dim,
            if self.small_sample() { ", small_sample=True" } else { "" }
        )
    }

    /// All numbers by name, ``influence`` left out.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (found, fields) = (&self.inner, PyDict::new(py));
        for (name, value) in [
            ("value", found.fid),
            ("se", found.se),
            ("bias", found.bias),
            ("fid_inf", found.fid_inf),
            ("fid_inf_se", found.fid_inf_se),
            ("se_gaussian", found.se_gaussian),
            ("bias_gaussian", found.bias_gaussian),
        ] {
            fields.set_item(name, value)?;
        }
        fields.set_item("n", found.n)?;
        fields.set_item("dim", found.dim)?;
        fields.set_item("small_sample", self.small_sample())?;
        Ok(fields)
    }
}

result! {
    /// A difference of two Fréchet distances to one reference.
    Comparison {
        /// First minus second, on the scale that ``basis`` names.
        delta: f64,
        /// Standard error of ``delta``.
        se: f64,
        /// ``delta / se``; 0 where both are zero.
        z: f64,
        /// Two-sided p-value of ``delta = 0`` by the normal law.
        p: f64,
        /// The difference that 80 % of repetitions would find significant at 5 %: ``2.80 se``.
        min_detectable: f64,
        /// Distance of the first sample.
        fid_a: f64,
        /// Distance of the second sample.
        fid_b: f64,
        /// 'paired', 'overlapping' or 'unpaired'.
        pairing: String,
        /// Images in both samples; None for independent ones.
        n_shared: Option<usize>,
        /// 'fid', or 'fid_inf' where the sizes differ, and so would the biases.
        basis: String,
    }
}

impl From<dubench_metrics::Comparison> for Comparison {
    fn from(found: dubench_metrics::Comparison) -> Self {
        let (pairing, n_shared) = match found.pairing {
            Pairing::Paired => ("paired", None),
            Pairing::Overlapping { n_shared } => ("overlapping", Some(n_shared)),
            Pairing::Unpaired => ("unpaired", None),
        };
        let basis = match found.basis {
            Basis::Fid => "fid",
            Basis::FidInf => "fid_inf",
        };
        Self {
            delta: found.delta,
            se: found.se,
            z: found.z,
            p: found.p,
            min_detectable: found.min_detectable,
            fid_a: found.fid_a,
            fid_b: found.fid_b,
            pairing: pairing.to_owned(),
            n_shared,
            basis: basis.to_owned(),
        }
    }
}

fn compared(found: Result<dubench_metrics::Comparison, MetricError>) -> PyResult<Comparison> {
    found.map(Comparison::from).map_err(|error| refused(error.to_string()))
}

/// Is the difference of two estimates real, where row i of both comes from the same start (same noise, same label)?
///
/// ``se = sd(phi_a - phi_b) / sqrt(n)``: what the pairs have in common cancels.
///
/// Parameters
/// ----------
/// a, b : FidEstimate
///     Of equally many images, against one reference.
///
/// Raises
/// ------
/// ValueError
///     For sizes that differ, or estimates made from statistics.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real, a = rng.normal(size=(3000, 4)), rng.normal(0.3, 1.0, size=(3000, 4))
/// >>> reference = dm.Reference(real)
/// >>> found = dm.compare_paired(reference.estimate(a), reference.estimate(a - 0.1))
/// >>> found.delta > 0 and found.p < 0.001
/// True
#[pyfunction]
fn compare_paired(a: &FidEstimate, b: &FidEstimate) -> PyResult<Comparison> {
    compared(dubench_metrics::compare_paired(&a.inner, &b.inner))
}

/// Is the difference of two estimates real, where the samples are independent? ``se^2 = se_a^2 + se_b^2``.
///
/// Parameters
/// ----------
/// a, b : FidEstimate
///
/// Raises
/// ------
/// ValueError
///     If the numbers of features differ.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> reference = dm.Reference.from_statistics(np.zeros(1), np.eye(1))
/// >>> a = reference.estimate_statistics(np.array([1.00]), np.eye(1), 10_000)
/// >>> b = reference.estimate_statistics(np.array([0.99]), np.eye(1), 10_000)
/// >>> dm.compare_unpaired(a, b).p > 0.05  # 0.02, with a standard error of 0.028
/// True
#[pyfunction]
fn compare_unpaired(a: &FidEstimate, b: &FidEstimate) -> PyResult<Comparison> {
    compared(dubench_metrics::compare_unpaired(&a.inner, &b.inner))
}

/// Is the difference of two estimates real, where the samples are subsets of one pool?
///
/// An image in both contributes ``phi_a / n_a - phi_b / n_b``, an image in one of them its own term; ``se`` is the root of
/// the sum of squares: the spread over new pools.
///
/// Parameters
/// ----------
/// a, b : FidEstimate
/// ids_a, ids_b : array [n_a], [n_b], integers
///     The name of each image, each once.
///
/// Raises
/// ------
/// ValueError
///     For an id that is given twice, or another number of ids than of images.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> pool, ids = rng.normal(size=(500, 3)), np.arange(500)
/// >>> reference = dm.Reference(rng.normal(size=(500, 3)))
/// >>> kept = pool[:, 0] < 1
/// >>> found = dm.compare_overlapping(reference.estimate(pool[kept]), ids[kept], reference.estimate(pool), ids)
/// >>> found.n_shared == int(kept.sum()), found.basis  # the sizes differ
/// (True, 'fid_inf')
#[pyfunction]
fn compare_overlapping(
    a: &FidEstimate,
    ids_a: &Bound<'_, PyAny>,
    b: &FidEstimate,
    ids_b: &Bound<'_, PyAny>,
) -> PyResult<Comparison> {
    let (ids_a, ids_b) = (indices("ids_a", ids_a)?, indices("ids_b", ids_b)?);
    compared(dubench_metrics::compare_overlapping(&a.inner, &ids_a, &b.inner, &ids_b))
}

/// ``fid_inf`` without each group of images in turn, groups ascending: what `jackknife_se` makes an error bar of.
///
/// Parameters
/// ----------
/// real : array [m, d] or Reference
/// fake : array [n, d], float32 or float64
/// groups : array [n], integers
///     The group of each image; ten groups do.
/// splits, seed : int
///     Halves of the bias, as in `fid`.
///
/// Returns
/// -------
/// array [g], or None where too few images are left for a bias.
///
/// Raises
/// ------
/// ValueError
///     As `fid`.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real, fake = rng.normal(size=(200, 2)), rng.normal(size=(100, 2))
/// >>> values = dm.fid_inf_without_groups(real, fake, np.arange(100) % 10)
/// >>> values.shape, dm.jackknife_se(values) > 0
/// ((10,), True)
#[pyfunction]
#[pyo3(signature = (real, fake, groups, *, splits=1, seed=0))]
fn fid_inf_without_groups(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    fake: &Bound<'_, PyAny>,
    groups: &Bound<'_, PyAny>,
    splits: usize,
    seed: u64,
) -> PyResult<Option<Numbers>> {
    let (rows, real) = (Rows::new("fake", fake)?, Real::new(py, real)?);
    let groups = places("groups", groups)?;
    let (features, options) = (rows.features(), EstimateOptions { seed, splits });
    let work = || dubench_metrics::leave_out_inf(real.inner(), features, &groups, &options);
    let values = compute_over(py, "fake", work)?;
    Ok(values.map(Numbers))
}

/// Standard error of a number by its values without each of g groups: ``sqrt((g - 1) / g sum (v - mean)^2)`` (Tukey 1958).
///
/// Parameters
/// ----------
/// without : array [g]
///
/// Returns
/// -------
/// float, or None for fewer than two values.
///
/// Examples
/// --------
/// >>> import dubench_metrics as dm
/// >>> round(dm.jackknife_se([5.0, 14 / 3, 4.0, 7 / 3]) ** 2, 12)  # of the mean of 1, 2, 4, 9: (38 / 3) / 4
/// 3.166666666667
#[pyfunction]
fn jackknife_se(py: Python<'_>, without: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let without = numbers("without", without)?;
    compute(py, || Ok(dubench_metrics::jackknife_se(&without)))
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FidEstimate>()?;
    module.add_class::<Comparison>()?;
    module.add_function(wrap_pyfunction!(compare_paired, module)?)?;
    module.add_function(wrap_pyfunction!(compare_unpaired, module)?)?;
    module.add_function(wrap_pyfunction!(compare_overlapping, module)?)?;
    module.add_function(wrap_pyfunction!(fid_inf_without_groups, module)?)?;
    module.add_function(wrap_pyfunction!(jackknife_se, module)?)
}
