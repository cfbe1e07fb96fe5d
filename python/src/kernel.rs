//! Kernel distances: `kid`, `kid_of_subsets`, `compare_kid_paired`, `mmd`.

use dubench_metrics::{Kernel, KidOptions, KidStudy, MmdEstimator};
use pyo3::prelude::*;

use crate::arrays::{Rows, places, refused};
use crate::compute::compute;
use crate::result::{Numbers, result};

result! {
    /// A kernel inception distance over random subsets. `float(found)` is its value.
    Kid {
        /// Mean over the subsets.
        value: f64,
        /// Population standard deviation over the subsets, as torch-fidelity prints it. It describes a subset, not the mean.
        sd: f64,
        /// The value of each subset.
        values: Numbers,
    }
    methods {
        fn __float__(&self) -> f64 {
            self.value
        }
    }
}

/// Kernel inception distance: the mean unbiased squared MMD with the kernel ``(x.y / d + 1)^3`` over random subsets.
///
/// Binkowski et al. 2018, arXiv:1801.01401. Defaults and subsets are those of torch-fidelity, whose kernel is float32:
/// digits after the sixth differ. For one number of all images with an error bar see `kid_of_subsets`.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// fake : array [n, d], float32 or float64
/// subsets, subset_size : int
///     Number of subsets, and images of each set in one.
/// seed : int
///     Seed of ``numpy.random.RandomState``.
///
/// Raises
/// ------
/// ValueError
///     If a set is smaller than a subset; for NaN or shapes that do not fit.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real = rng.normal(size=(200, 4))
/// >>> dm.kid(real, real + 1, subsets=10, subset_size=100).value > dm.kid(real, real + 0.1, subsets=10, subset_size=100).value
/// True
#[pyfunction]
#[pyo3(signature = (real, fake, *, subsets=100, subset_size=1000, seed=2020))]
fn kid(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    fake: &Bound<'_, PyAny>,
    subsets: usize,
    subset_size: usize,
    seed: u32,
) -> PyResult<Kid> {
    let (real, fake) = (Rows::new("real", real)?, Rows::new("fake", fake)?);
    let (of_real, of_fake) = (real.features(), fake.features());
    let options = KidOptions { subsets, subset_size, seed };
    let found = compute(py, || dubench_metrics::kid(of_fake, of_real, &options))?;
    Ok(Kid { value: found.kid, sd: found.sd, values: Numbers(found.values) })
}

result! {
    /// The unbiased KID of all images of a set, with its error bar over new images.
    KidEstimate {
        /// The unbiased squared MMD to the reference, kernel ``(x.y / d + 1)^3``.
        value: f64,
        /// Standard error over new images, the reference held fixed.
        se: f64,
        /// Images in the set.
        n: usize,
    }
    methods {
        fn __float__(&self) -> f64 {
            self.value
        }
    }
}

impl From<dubench_metrics::KidEstimate> for KidEstimate {
    fn from(found: dubench_metrics::KidEstimate) -> Self {
        Self { value: found.kid, se: found.se, n: found.n }
    }
}

/// The unbiased KID of each set of rows of one pool: one number a set, which depends on no draw.
///
/// ``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`` over different rows, ``k = (x.y / d + 1)^3``;
/// ``se = 2 sd(g) / sqrt(n)`` with ``g`` the mean kernel of an image to its set less that to the reference. Kernels are
/// computed once for all sets.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// pool : array [n, d], float32 or float64
/// sets : list of arrays of row numbers, optional
///     Default: the whole pool as one set.
///
/// Returns
/// -------
/// list of KidEstimate
///
/// Raises
/// ------
/// ValueError
///     For a set of fewer than two rows, or a row that the pool does not have.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real, pool = rng.normal(size=(300, 3)), rng.normal(size=(200, 3))
/// >>> whole, half = dm.kid_of_subsets(real, pool, [np.arange(200), np.arange(100)])
/// >>> whole.n, half.n, abs(whole.value) < 4 * whole.se
/// (200, 100, True)
#[pyfunction]
#[pyo3(signature = (real, pool, sets=None))]
fn kid_of_subsets(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    pool: &Bound<'_, PyAny>,
    sets: Option<Vec<Bound<'_, PyAny>>>,
) -> PyResult<Vec<KidEstimate>> {
    let (real, pool) = (Rows::new("real", real)?, Rows::new("pool", pool)?);
    let (of_real, of_pool) = (real.features(), pool.features());
    let sets = match sets {
        Some(sets) => sets.iter().map(|set| places("a set", set)).collect::<PyResult<Vec<_>>>()?,
        None => vec![(0..of_pool.n()).collect()],
    };
    let found = compute(py, || KidStudy::new(of_pool, of_real)?.sets(&sets))?;
    Ok(found.into_iter().map(KidEstimate::from).collect())
}

result! {
    /// A difference of two kernel distances over pairs.
    KidComparison {
        /// First minus second.
        delta: f64,
        /// Standard error of ``delta`` over new pairs.
        se: f64,
        /// Two-sided permutation p-value, ``(1 + as_far) / (1 + permutations)``: never zero.
        p: f64,
        /// Exchanges that gave a difference at least as large, to either side.
        as_far: usize,
        /// Exchanges drawn.
        permutations: usize,
        /// KID of the first set.
        kid_a: f64,
        /// KID of the second set.
        kid_b: f64,
    }
}

/// Is the difference of two KIDs real, where row i of both comes from the same start? By exchanging the members of pairs.
///
/// Where the sets do not differ, each pair may be exchanged; ``p`` counts the exchanges that give a difference at least as
/// large. Values are unbiased KIDs of all images.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// a, b : array [n, d], float32 or float64
/// permutations, seed : int
///
/// Raises
/// ------
/// ValueError
///     If the numbers of rows or features differ; for no permutations.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> real = rng.normal(size=(100, 2))
/// >>> found = dm.compare_kid_paired(real, real + 0.5, real + 0.1, permutations=99)
/// >>> found.delta > 0, found.p
/// (True, 0.01)
#[pyfunction]
#[pyo3(signature = (real, a, b, *, permutations=999, seed=0))]
fn compare_kid_paired(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    permutations: usize,
    seed: u64,
) -> PyResult<KidComparison> {
    let (real, a, b) = (Rows::new("real", real)?, Rows::new("a", a)?, Rows::new("b", b)?);
    let (of_a, of_b, of_real) = (a.features(), b.features(), real.features());
    let found = compute(py, || {
        dubench_metrics::compare_kid_paired(of_a, of_b, of_real, (permutations, seed))
    })?;
    Ok(KidComparison {
        delta: found.delta,
        se: found.se,
        p: found.p(),
        as_far: found.as_far,
        permutations: found.permutations,
        kid_a: found.a.kid,
        kid_b: found.b.kid,
    })
}

result! {
    /// A squared maximum mean discrepancy. `float(found)` is its value.
    Mmd {
        /// ``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)``.
        value: f64,
        /// Standard error by the delta method; too small where both sets are alike.
        se: f64,
    }
    methods {
        fn __float__(&self) -> f64 {
            self.value
        }
    }
}

/// The squared maximum mean discrepancy of two sets, in blocks: no kernel matrix is held.
///
/// ``kernel='rbf'``: ``exp(-|x - y|^2 / (2 sigma^2))``; CMMD is 1000 times the biased value with sigma = 10 on CLIP features
/// (Jayasumana et al. 2024, arXiv:2401.09603). ``kernel='cubic'``: ``(x.y / d + 1)^3``, the kernel of KID.
///
/// Parameters
/// ----------
/// x : array [n, d], float32 or float64
/// y : array [m, d], float32 or float64
/// kernel : 'rbf' or 'cubic'
/// sigma : float
///     Bandwidth of 'rbf', above 0.
/// unbiased : bool
///     Without the diagonal (mean right, may be negative), or with it.
///
/// Raises
/// ------
/// ValueError
///     For fewer than two rows, NaN, shapes that do not fit, another kernel.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
/// >>> dm.mmd(x, y, kernel='cubic').value  # k(0, 2) = 1, k(1, 1) = 8; k(0, 1) = 1, k(2, 1) = 27
/// -19.0
#[pyfunction]
#[pyo3(signature = (x, y, *, kernel="rbf", sigma=10.0, unbiased=true))]
fn mmd(
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    kernel: &str,
    sigma: f64,
    unbiased: bool,
) -> PyResult<Mmd> {
    let kernel = match kernel {
        "rbf" => Kernel::Rbf { sigma },
        "cubic" => Kernel::Cubic,
        other => return Err(refused(format!("kernel is '{other}', expected 'rbf' or 'cubic'"))),
    };
    let estimator = if unbiased { MmdEstimator::Unbiased } else { MmdEstimator::Biased };
    let (x, y) = (Rows::new("x", x)?, Rows::new("y", y)?);
    let (of_x, of_y) = (x.features(), y.features());
    let found = compute(py, || dubench_metrics::mmd(of_x, of_y, kernel, estimator))?;
    Ok(Mmd { value: found.value, se: found.se })
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kid>()?;
    module.add_class::<KidEstimate>()?;
    module.add_class::<KidComparison>()?;
    module.add_class::<Mmd>()?;
    module.add_function(wrap_pyfunction!(kid, module)?)?;
    module.add_function(wrap_pyfunction!(kid_of_subsets, module)?)?;
    module.add_function(wrap_pyfunction!(compare_kid_paired, module)?)?;
    module.add_function(wrap_pyfunction!(mmd, module)?)
}
