//! Which axes of the inputs are the batch.

use crate::error::GraphError;
use crate::model::{DeclaredDim, Model, Port};

/// Name of the first axis of `x`.
pub(super) fn batch_name(ports: &[Port], x: &str) -> Option<DeclaredDim> {
    let x = ports.iter().find(|port| port.name == x)?;
    x.dims.as_ref()?.first().cloned()
}

/// Length of an axis of an input.
pub(super) enum Length {
    Fixed(usize),
    Batch,
}

/// Length of each axis of an input: open ones in front, and those named as the batch of `x`, are the batch.
pub(super) fn lengths(
    model: &Model,
    port: &Port,
    batch: Option<&DeclaredDim>,
) -> Result<Vec<Length>, GraphError> {
    let name = &port.name;
    let Some(dims) = &port.dims else {
        return Err(
            model.interface_error(format!("input {name} declares no shape: export with shapes"))
        );
    };
    let length = |(axis, dim): (usize, &DeclaredDim)| {
        match dim {
        DeclaredDim::Fixed(length) => Ok(Length::Fixed(*length)),
        DeclaredDim::Named(_) if axis == 0 || Some(dim) == batch => Ok(Length::Batch),
        DeclaredDim::Named(text) => Err(model.interface_error(format!(
            "axis {axis} of input {name} is open ({text:?}), only the batch may be: export at one image size"
        ))),
    }
    };
    dims.iter().enumerate().map(length).collect()
}
