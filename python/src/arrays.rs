//! What Python hands over, as views: nothing is copied, and what does not fit is refused with a remedy.

use dubench_metrics::Features;
use ndarray::Dimension;
use ndarray::{ArrayView1, ArrayView2};
use numpy::{
    Element, PyArray, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray, PyReadonlyArray1,
    PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Characters of a wrong argument that are shown.
const SHOWN: usize = 60;

/// DLPack's number of the CPU.
const DLPACK_CPU: i32 = 1;

/// Rows `[n, d]` of either precision, borrowed from Python.
pub(crate) enum Rows<'py> {
    /// Single precision.
    F32(PyReadonlyArray2<'py, f32>),
    /// Double precision.
    F64(PyReadonlyArray2<'py, f64>),
}

impl<'py> Rows<'py> {
    /// The argument `name` as rows.
    ///
    /// # Errors
    /// `ValueError` unless it has two axes, is float32 or float64 in the byte order of this machine, aligned, on the CPU.
    pub(crate) fn new(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let array = array(name, value)?;
        expect_axes(name, &array, 2, "[n, d], one row an image")?;
        if let Some(rows) = typed::<f32, _>(name, &array)? {
            return Ok(Self::F32(rows));
        }
        if let Some(rows) = typed::<f64, _>(name, &array)? {
            return Ok(Self::F64(rows));
        }
        Err(wrong_type(name, &array, "float32 or float64", "float32"))
    }

    /// What the metrics read.
    pub(crate) fn features(&self) -> Features<'_> {
        match self {
            Self::F32(rows) => rows.as_array().into(),
            Self::F64(rows) => rows.as_array().into(),
        }
    }
}

/// Numbers `[n]` in f64: scores, p-values, one side of pairs. They are few, so integers and float32 are widened.
pub(crate) fn numbers(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let array = array(name, value)?;
    expect_axes(name, &array, 1, "[n]")?;
    if !matches!(array.dtype().kind(), b'f' | b'i' | b'u') {
        return Err(wrong_type(name, &array, "float or integer numbers", "float64"));
    }
    let wide = array.call_method1("astype", ("float64",))?;
    let wide: PyReadonlyArray1<'_, f64> = wide.extract()?;
    Ok(wide.as_array().to_vec())
}

/// Whole numbers `[n]`, none below zero: rows, ids, groups.
pub(crate) fn indices(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    let array = array(name, value)?;
    expect_axes(name, &array, 1, "[n]")?;
    // A list without members has no type of its own.
    if array.len() == 0 {
        return Ok(Vec::new());
    }
    if !matches!(array.dtype().kind(), b'i' | b'u') {
        return Err(wrong_type(name, &array, "integers", "int64"));
    }
    let wide = array.call_method1("astype", ("int64",))?;
    let wide: PyReadonlyArray1<'_, i64> = wide.extract()?;
    let whole = |&number: &i64| {
        u64::try_from(number)
            .map_err(|_| refused(format!("{name} holds {number}, expected 0 or more")))
    };
    wide.as_array().iter().map(whole).collect()
}

/// [`indices`] as places in memory.
pub(crate) fn places(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let place = |number| {
        usize::try_from(number)
            .map_err(|_| refused(format!("{name} holds {number}, which is no row")))
    };
    indices(name, value)?.into_iter().map(place).collect()
}

/// An array of one type and number of axes, without a copy.
///
/// # Errors
/// `ValueError` that names the type and the axes which were expected.
pub(crate) fn exact<'py, T: Element, D: Dimension>(
    (name, axes): (&str, &str),
    value: &Bound<'py, PyAny>,
    expected: &str,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    let array = array(name, value)?;
    expect_axes(name, &array, D::NDIM.unwrap_or(0), axes)?;
    typed::<T, D>(name, &array)?.ok_or_else(|| wrong_type(name, &array, expected, expected))
}

/// A mean `[d]` and a covariance `[d, d]` in f64.
pub(crate) struct Statistics<'py> {
    mean: PyReadonlyArray1<'py, f64>,
    covariance: PyReadonlyArray2<'py, f64>,
}

impl<'py> Statistics<'py> {
    pub(crate) fn new(
        (mean_name, mean): (&str, &Bound<'py, PyAny>),
        (covariance_name, covariance): (&str, &Bound<'py, PyAny>),
    ) -> PyResult<Self> {
        Ok(Self {
            mean: exact((mean_name, "[d]"), mean, "float64")?,
            covariance: exact((covariance_name, "[d, d]"), covariance, "float64")?,
        })
    }

    pub(crate) fn views(&self) -> (ArrayView1<'_, f64>, ArrayView2<'_, f64>) {
        (self.mean.as_array(), self.covariance.as_array())
    }
}

/// The array behind an argument: itself, or what it shares by DLPack or `__array__`.
fn array<'py>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    // NumPy's masked arrays are arrays, and their mask would go unseen. A method `mask`, as of pandas, is none.
    if value.getattr_opt("mask")?.is_some_and(|mask| !mask.is_callable()) {
        return Err(refused(format!(
            "{name} is a masked array, whose mask no metric reads: give the rows that are valid"
        )));
    }
    if let Ok(array) = value.cast::<PyUntypedArray>() {
        return Ok(array.clone());
    }
    let numpy = value.py().import("numpy")?;
    let shared = if value.hasattr("__dlpack__")? {
        on_cpu(name, value)?;
        numpy.call_method1("from_dlpack", (value,))
    } else {
        numpy.call_method1("asarray", (value,))
    };
    let shared = shared.map_err(|error| refused(format!("{name} is no array: {error}")))?;
    let array = shared.cast_into::<PyUntypedArray>()?;
    // What is no sequence of numbers becomes an array of one object: None, the name of a file, a dict.
    if array.ndim() == 0 && matches!(array.dtype().kind(), b'O' | b'U' | b'S') {
        let (kind, what) = (value.get_type().name()?, value.repr()?);
        let what: String = what.to_string().chars().take(SHOWN).collect();
        return Err(refused(format!("{name} is {what} ({kind}), expected an array of numbers")));
    }
    Ok(array)
}

fn on_cpu(name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let (kind, number): (i32, i32) = value.call_method0("__dlpack_device__")?.extract()?;
    if kind == DLPACK_CPU {
        return Ok(());
    }
    Err(refused(format!(
        "{name} lies on the DLPack device ({kind}, {number}), expected the CPU (1, 0): move it there first"
    )))
}

fn expect_axes(
    name: &str,
    array: &Bound<'_, PyUntypedArray>,
    axes: usize,
    words: &str,
) -> PyResult<()> {
    if array.ndim() == axes {
        return Ok(());
    }
    let shape = array.shape();
    Err(refused(format!("{name} has shape {shape:?}, expected {axes} axes {words}: reshape it")))
}

/// A view, where the array holds this type.
fn typed<'py, T: Element, D: Dimension>(
    name: &str,
    array: &Bound<'py, PyUntypedArray>,
) -> PyResult<Option<PyReadonlyArray<'py, T, D>>> {
    let Ok(typed) = array.cast::<PyArray<T, D>>() else { return Ok(None) };
    if !array.is_aligned() {
        return Err(refused(format!("{name} is not aligned in memory: give {name}.copy()")));
    }
    typed
        .try_readonly()
        .map(Some)
        .map_err(|error| refused(format!("{name} cannot be read while it is written: {error}")))
}

fn wrong_type(
    name: &str,
    array: &Bound<'_, PyUntypedArray>,
    expected: &str,
    target: &str,
) -> PyErr {
    let dtype = array.dtype();
    refused(format!(
        "{name} has dtype {dtype}, expected {expected}: give {name}.astype('{target}')"
    ))
}

/// A `ValueError`.
pub(crate) fn refused(message: String) -> PyErr {
    PyValueError::new_err(message)
}
