//! The Python module `dubench_metrics._core`: the metrics of `dubench-metrics` for arrays that Python holds.
//!
//! One file a family of metrics. [`arrays`] is the only door for arguments, [`compute`] the only one for work: it
//! releases the interpreter and turns a refusal into `ValueError` with the same text.

mod arrays;
mod compute;
mod estimate;
mod filtering;
mod kernel;
mod manifold;
mod moments;
mod ranks;
mod reference;
mod resize;
mod result;
mod sparsification;
mod spheres;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    reference::add(module)?;
    estimate::add(module)?;
    kernel::add(module)?;
    manifold::add(module)?;
    spheres::add(module)?;
    filtering::add(module)?;
    sparsification::add(module)?;
    ranks::add(module)?;
    moments::add(module)?;
    resize::add(module)
}
