//! `overlap` (precision, recall, density, coverage) and `inception_score`.

use dubench_metrics::Splits;
use dubench_metrics::manifold::{Convention, OverlapOptions};
use pyo3::prelude::*;

use crate::arrays::{Rows, refused};
use crate::compute::compute;
use crate::result::{Numbers, result};

result! {
    /// Precision, recall, density and coverage; errors are over the points that are asked, with the balls held fixed.
    Overlap {
        /// Share of fake points inside a ball of the real set.
        precision: f64,
        /// Standard error of it.
        precision_se: f64,
        /// Share of real points inside a ball of the fake set.
        recall: f64,
        /// Standard error of it.
        recall_se: f64,
        /// Mean number of real balls around a fake point, over k.
        density: f64,
        /// Standard error of it.
        density_se: f64,
        /// Share of real points whose ball holds a fake point.
        coverage: f64,
        /// Standard error of it.
        coverage_se: f64,
        /// The k used.
        k: usize,
    }
}

/// Precision, recall, density and coverage: balls around each point reach to its k-th neighbour.
///
/// Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991; density and coverage: Naeem et al. 2020,
/// arXiv:2002.09797. Every decision is that of exact arithmetic, and no ``n x m`` matrix is held.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// fake : array [n, d], float32 or float64
/// convention : 'prdc', 'adm' or 'torch-fidelity'
///     Whose rule says whether a point on the rim of a ball is inside: prdc says no, the others yes.
/// k : int, optional
///     Which neighbour a ball reaches to. Default: that of the tool, 5 for prdc, else 3.
///
/// Raises
/// ------
/// ValueError
///     For k rows or fewer, NaN, shapes that do not fit, another convention.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> real, fake = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[0.5], [1.5], [9.0]])
/// >>> found = dm.overlap(real, fake, convention='adm', k=1)
/// >>> round(found.precision, 4), found.coverage
/// (0.6667, 0.75)
#[pyfunction]
#[pyo3(signature = (real, fake, *, convention="prdc", k=None))]
fn overlap(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    fake: &Bound<'_, PyAny>,
    convention: &str,
    k: Option<usize>,
) -> PyResult<Overlap> {
    let convention = match convention {
        "prdc" => Convention::Prdc,
        "adm" => Convention::Adm,
        "torch-fidelity" => Convention::TorchFidelity,
        other => {
            return Err(refused(format!(
                "convention is '{other}', expected 'prdc', 'adm' or 'torch-fidelity'"
            )));
        }
    };
    let options = OverlapOptions { convention, k: k.unwrap_or(convention.default_k()) };
    let (real, fake) = (Rows::new("real", real)?, Rows::new("fake", fake)?);
    let (of_real, of_fake) = (real.features(), fake.features());
    let found = compute(py, || dubench_metrics::manifold::overlap(of_fake, of_real, &options))?;
    Ok(Overlap {
        precision: found.precision,
        precision_se: found.precision_se,
        recall: found.recall,
        recall_se: found.recall_se,
        density: found.density,
        density_se: found.density_se,
        coverage: found.coverage,
        coverage_se: found.coverage_se,
        k: found.k,
    })
}

result! {
    /// An Inception Score. `float(found)` is its value.
    InceptionScore {
        /// Mean over the splits.
        value: f64,
        /// Population standard deviation over the splits, as torch-fidelity prints it.
        sd: f64,
        /// Standard error of the mean; None for one split.
        se: Option<f64>,
        /// The score of each split.
        values: Numbers,
    }
    methods {
        fn __float__(&self) -> f64 {
            self.value
        }
    }
}

/// Inception Score: ``exp(mean_x KL(p(y|x) || p(y)))`` in each split of the images (Salimans et al. 2016, arXiv:1606.03498).
///
/// Parameters
/// ----------
/// logits : array [n, classes], float32 or float64
///     Before the softmax.
/// splits, seed : int
///     Shuffled by ``numpy.random.RandomState(seed)`` and cut into ``splits`` parts: torch-fidelity.
/// block_size : int, optional
///     Consecutive blocks of this many images instead: guided-diffusion (5000).
///
/// Raises
/// ------
/// ValueError
///     For fewer images than splits, or NaN.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> logits = 100 * np.eye(4)[np.arange(400) % 4]  # four classes, each certain, equally often
/// >>> round(dm.inception_score(logits, splits=1).value, 6)
/// 4.0
#[pyfunction]
#[pyo3(signature = (logits, *, splits=10, seed=2020, block_size=None))]
fn inception_score(
    py: Python<'_>,
    logits: &Bound<'_, PyAny>,
    splits: usize,
    seed: u32,
    block_size: Option<usize>,
) -> PyResult<InceptionScore> {
    let rows = Rows::new("logits", logits)?;
    let features = rows.features();
    let parts = match block_size {
        Some(size) => Splits::Blocks { size },
        None => Splits::Shuffled { splits, seed },
    };
    let found = compute(py, || dubench_metrics::inception_score(features, parts))?;
    Ok(InceptionScore {
        value: found.mean,
        sd: found.sd,
        se: found.se,
        values: Numbers(found.values),
    })
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Overlap>()?;
    module.add_class::<InceptionScore>()?;
    module.add_function(wrap_pyfunction!(overlap, module)?)?;
    module.add_function(wrap_pyfunction!(inception_score, module)?)
}
