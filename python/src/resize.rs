//! `preprocess`: from 8-bit images to what the Inception network reads.

use dubench_metrics::resize::{Layout, Preprocess};
use ndarray::Ix4;
use numpy::PyArray4;
use pyo3::prelude::*;

use crate::arrays::{exact, refused};
use crate::compute::compute;

/// Resizes and scales 8-bit RGB images to what the Inception network reads, bit for bit as the tool of that name does.
///
/// 'pytorch-fid': ``x / 255``, PyTorch bilinear, ``2 x - 1``. 'torch-fidelity': TensorFlow 1 bilinear, ``(x - 128) / 128``.
/// 'clean-fid': Pillow bicubic, clipped, ``(x - 128) / 128``.
///
/// Parameters
/// ----------
/// images : array [n, h, w, 3] or [n, 3, h, w], uint8
/// convention : 'pytorch-fid', 'torch-fidelity' or 'clean-fid'
/// layout : 'nhwc' or 'nchw'
///
/// Returns
/// -------
/// array [n, 3, 299, 299], float32 in [-1, 1], but for the rounding of the resize
///
/// Raises
/// ------
/// ValueError
///     For images without pixels or with other than three channels, another type, another convention.
///
/// Examples
/// --------
/// >>> import numpy as np, dubench_metrics as dm
/// >>> white = dm.preprocess(np.full((1, 32, 32, 3), 255, np.uint8))
/// >>> white.shape, bool(abs(white - 1).max() < 1e-6)
/// ((1, 3, 299, 299), True)
#[pyfunction]
#[pyo3(signature = (images, *, convention="pytorch-fid", layout="nhwc"))]
fn preprocess<'py>(
    py: Python<'py>,
    images: &Bound<'py, PyAny>,
    convention: &str,
    layout: &str,
) -> PyResult<Bound<'py, PyArray4<f32>>> {
    let all = [Preprocess::PytorchFid, Preprocess::TorchFidelity, Preprocess::CleanFid];
    let preprocess = all.into_iter().find(|known| known.name() == convention).ok_or_else(|| {
        refused(format!(
            "convention is '{convention}', expected 'pytorch-fid', 'torch-fidelity' or 'clean-fid'"
        ))
    })?;
    let (layout, axes) = match layout {
        "nhwc" => (Layout::Nhwc, "[n, h, w, 3]"),
        "nchw" => (Layout::Nchw, "[n, 3, h, w]"),
        other => return Err(refused(format!("layout is '{other}', expected 'nhwc' or 'nchw'"))),
    };
    let images = exact::<u8, Ix4>(("images", axes), images, "uint8")?;
    let view = images.as_array();
    let ready = compute(py, || preprocess.apply(view, layout))?;
    Ok(PyArray4::from_owned_array(py, ready))
}

/// Adds this file's names to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(preprocess, module)?)
}
