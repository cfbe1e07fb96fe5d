//! `realism` and `rarity`: scores of single images by the real images around them.

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::Rows;
use crate::compute::compute;
use crate::result::Numbers;

/// Realism of each fake row: ``max_x r_k(x) / |y - x|`` over real rows x whose reach r_k is at most the median reach.
///
/// The reach of a real row is the distance to its k-th nearest other real row. Kynkaanniemi et al. 2019, arXiv:1904.06991,
/// section 4. Higher is more like a real image; from 1 on the row lies in a ball that was kept; a copy has infinity.
/// Nothing is added to distances, so values are a little above those of implementations that add 1e-6.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// fake : array [n, d], float32 or float64
/// k : int
///     Which neighbour a ball reaches to. The paper has 3.
///
/// Returns
/// -------
/// array [n], float64, 0 or more
///
/// Raises
/// ------
/// ValueError
///     For k real rows or fewer, no fake one, NaN, shapes that do not fit.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> real = np.array([[0.0], [1.0], [2.0], [12.0]])  # reaches 1, 1, 1, 10 for k = 1; the last one is left out
/// >>> dm.realism(real, np.array([[4.0], [2.5], [2.0]]), k=1).tolist()
/// [0.5, 2.0, inf]
#[pyfunction]
#[pyo3(signature = (real, fake, *, k=3))]
fn realism(
    py: Python<'_>,
    real: &Bound<'_, PyAny>,
    fake: &Bound<'_, PyAny>,
    k: usize,
) -> PyResult<Numbers> {
    let (real, fake) = (Rows::new("real", real)?, Rows::new("fake", fake)?);
    let (of_real, of_fake) = (real.features(), fake.features());
    compute(py, || dubench_metrics::manifold::realism(of_fake, of_real, k)).map(Numbers)
}

/// Rarity of each fake row: the least reach of a real row whose open ball holds it; masked outside all balls.
///
/// The reach of a real row is the distance to its k-th nearest other real row. Han et al. 2022, arXiv:2206.08549. Higher is
/// rarer among real images. The released code gives 0 outside all balls, which reads as the least rare; here there is no
/// number: ``.mean()`` leaves those rows out, ``.compressed()`` drops them, ``.filled(x)`` puts ``x`` there.
///
/// Parameters
/// ----------
/// real : array [m, d], float32 or float64
/// fake : array [n, d], float32 or float64
/// k : int
///     Which neighbour a ball reaches to. The paper has 3.
///
/// Returns
/// -------
/// numpy.ma.MaskedArray [n], float64, in the units of the features
///
/// Raises
/// ------
/// ValueError
///     For k real rows or fewer, no fake one, NaN, shapes that do not fit.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> real = np.array([[0.0], [1.0], [2.0], [12.0]])  # reaches 1, 1, 1, 10 for k = 1
/// >>> dm.rarity(real, np.array([[0.5], [5.0], [30.0]]), k=1).tolist()
/// [1.0, 10.0, None]
#[pyfunction]
#[pyo3(signature = (real, fake, *, k=3))]
fn rarity<'py>(
    py: Python<'py>,
    real: &Bound<'py, PyAny>,
    fake: &Bound<'py, PyAny>,
    k: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (real, fake) = (Rows::new("real", real)?, Rows::new("fake", fake)?);
    let (of_real, of_fake) = (real.features(), fake.features());
    let found = compute(py, || dubench_metrics::manifold::rarity(of_fake, of_real, k))?;
    let outside: Vec<bool> = found.iter().map(Option::is_none).collect();
    // What stands under the mask is seen by whoever takes it off, and is no number either.
    let values = found.into_iter().map(|reach| reach.unwrap_or(f64::NAN)).collect();
    let mask = PyDict::new(py);
    mask.set_item("mask", PyArray1::from_vec(py, outside))?;
    py.import("numpy.ma")?.getattr("array")?.call((Numbers(values),), Some(&mask))
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(realism, module)?)?;
    module.add_function(wrap_pyfunction!(rarity, module)?)
}
