//! `filter_study`: does keeping the images of lowest score lower the Fréchet distance more than chance?

use dubench_metrics::{CurvePoint, FilterOutcome, MetricError, RandomNull, Reference};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Rows, numbers};
use crate::compute::compute_over;
use crate::reference::Real;
use crate::result::{Numbers, result};

/// Points of a curve: images kept, and the distances of both ends of the ranking.
type Curve = Vec<(usize, f64, f64)>;

result! {
    /// What a score achieves beside random subsets of the same pool.
    FilterStudy {
        /// Distance of the ``keep`` images of lowest score.
        fid_keep_lowest: f64,
        /// Distance of the ``keep`` images of highest score.
        fid_keep_highest: f64,
        /// Mean distance of random subsets.
        fid_random_mean: f64,
        /// Standard deviation of the distance of random subsets.
        fid_random_sd: f64,
        /// One-sided: the chance that a random subset is at least as near as the lowest scores; never zero.
        p_lowest: f64,
        /// One-sided: the chance that a random subset is at least as near as the highest scores; never zero.
        p_highest: f64,
        /// Images in the pool.
        n: usize,
        /// Images kept.
        keep: usize,
        /// Distance of each random subset; the same for every score of a study.
        random: Numbers,
        /// ``(keep, fid_keep_lowest, fid_keep_highest)`` for each size of ``curve``.
        curve: Points,
    }
}

/// A curve with its `repr`.
#[derive(Clone, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Points(Curve);

impl crate::result::Show for Points {
    fn show(&self) -> String {
        format!("<{} points>", self.0.len())
    }
}

/// Does keeping the ``keep`` images of lowest score (or of highest) lower the Fréchet distance more than a random subset?
///
/// ``p = (1 + #{random <= observed}) / (1 + permutations)``. Exactly ``keep`` images are kept, ties by index; every distance
/// is exact. Random subsets depend on pool, ``keep`` and ``seed`` alone and are drawn once for all scores. How arXiv:2412.00205
/// tests a score in its Table 1, with a null distribution.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64, or Reference
/// pool : array [n, d], float32 or float64
///     Features of all generated images.
/// scores : dict of arrays [n], or one array [n]
///     One number an image, such as its uncertainty.
/// keep : int
///     4 <= keep < n.
/// permutations : int
///     Random subsets, at least 2; 200 resolve a p-value of 0.005.
/// seed : int
/// curve : list of int, optional
///     Further numbers of images to keep, without p-values.
///
/// Returns
/// -------
/// dict of FilterStudy by name, or one FilterStudy
///
/// Raises
/// ------
/// ValueError
///     Unless there is one finite score an image; for sizes that do not fit.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> rng = np.random.default_rng(0)
/// >>> pool = rng.normal(size=(200, 2))
/// >>> pool[::10] += 6  # every tenth image is far off, and one score knows it
/// >>> found = dm.filter_study(
/// ...     rng.normal(size=(500, 2)), pool, {'norm': np.linalg.norm(pool, axis=1), 'noise': rng.normal(size=200)}, keep=180
/// ... )
/// >>> found['norm'].p_lowest == 1 / 201, found['norm'].fid_keep_lowest < found['noise'].fid_keep_lowest
/// (True, True)
#[pyfunction]
#[pyo3(signature = (real, pool, scores, keep, *, permutations=200, seed=0, curve=None))]
fn filter_study<'py>(
    py: Python<'py>,
    real: &Bound<'py, PyAny>,
    pool: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    keep: usize,
    permutations: usize,
    seed: u64,
    curve: Option<Vec<usize>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (rows, real) = (Rows::new("pool", pool)?, Real::new(py, real)?);
    let (names, columns) = columns(scores)?;
    let (features, keeps) = (rows.features(), curve.unwrap_or_default());
    let task = Task { columns: &columns, keeps: &keeps, keep, permutations, seed };
    let (null, found) = compute_over(py, "pool", || task.run(real.inner(), features))?;
    let mut studies = found.into_iter().map(|(outcome, curve)| study(&null, &outcome, &curve));
    let Some(names) = names else {
        let only = studies.next().map(|only| only.into_pyobject(py)).transpose()?;
        return Ok(only.map_or_else(|| py.None().into_bound(py), Bound::into_any));
    };
    let answer = PyDict::new(py);
    for (name, study) in names.iter().zip(studies) {
        answer.set_item(name, study.into_pyobject(py)?)?;
    }
    Ok(answer.into_any())
}

/// Names of a dict of scores, if it is one, and the scores.
type Named<'py> = (Option<Vec<Bound<'py, PyAny>>>, Vec<Vec<f64>>);

fn columns<'py>(scores: &Bound<'py, PyAny>) -> PyResult<Named<'py>> {
    let Ok(by_name) = scores.cast::<PyDict>() else {
        return Ok((None, vec![numbers("scores", scores)?]));
    };
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for (name, column) in by_name.iter() {
        columns.push(numbers(&format!("scores[{}]", name.repr()?), &column)?);
        names.push(name);
    }
    Ok((Some(names), columns))
}

/// What to compute for each score.
struct Task<'a> {
    columns: &'a [Vec<f64>],
    keeps: &'a [usize],
    keep: usize,
    permutations: usize,
    seed: u64,
}

type Found = (RandomNull, Vec<(FilterOutcome, Vec<CurvePoint>)>);

impl Task<'_> {
    fn run<'a>(
        &self,
        reference: &'a Reference,
        features: dubench_metrics::Features<'a>,
    ) -> Result<Found, MetricError> {
        let study = dubench_metrics::FilterStudy::new(reference, features)?;
        let null = study.random_null(self.keep, self.permutations, self.seed)?;
        let of = |scores: &Vec<f64>| {
            Ok((study.evaluate(scores, &null)?, study.curve(scores, self.keeps)?))
        };
        let found = self.columns.iter().map(of).collect::<Result<_, MetricError>>()?;
        Ok((null, found))
    }
}

fn study(null: &RandomNull, found: &FilterOutcome, curve: &[CurvePoint]) -> FilterStudy {
    let point = |p: &CurvePoint| (p.keep, p.fid_keep_lowest, p.fid_keep_highest);
    FilterStudy {
        fid_keep_lowest: found.fid_keep_lowest,
        fid_keep_highest: found.fid_keep_highest,
        fid_random_mean: found.fid_random_mean,
        fid_random_sd: found.fid_random_sd,
        p_lowest: found.p_lowest,
        p_highest: found.p_highest,
        n: found.n,
        keep: found.keep,
        random: Numbers(null.fids.clone()),
        curve: Points(curve.iter().map(point).collect()),
    }
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FilterStudy>()?;
    module.add_function(wrap_pyfunction!(filter_study, module)?)
}
