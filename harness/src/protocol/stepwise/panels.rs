//! Maps of the kept images, as figures take them.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayView1, Axis};

use crate::plan::ArmPlan;
use crate::protocol::{ArmMaps, ProtocolError};
use crate::report::label;
use crate::store::records::Span;
use crate::units::SampleId;

/// One image with what every method said of it.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) sample: SampleId,
    /// `[3, H, W]`.
    pub(super) image: Array3<u8>,
    /// In the order of the plan.
    pub(super) methods: Vec<MethodPanel>,
}

/// What one method said of an image.
#[derive(Clone, Debug)]
pub(super) struct MethodPanel {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: &'static str,
    /// Summed over the walk and over channels, `[h, w]`.
    pub(super) summed: Array2<f32>,
    /// `[c, h, w]` by loop index.
    pub(super) steps: BTreeMap<u32, Array3<f32>>,
}

/// The kept images of an arm.
///
/// # Errors
/// [`ProtocolError::Absent`] for maps of another shape.
pub(super) fn panels(arm: &ArmPlan, kept: &ArmMaps) -> Result<Vec<Panel>, ProtocolError> {
    let one = |(row, image): (usize, ArrayView1<'_, u8>)| {
        let [c, h, w] = kept.shape;
        let image = Array3::from_shape_vec((c, h, w), image.to_vec())
            .map_err(|_| ProtocolError::Absent { what: "image of the model's shape" })?;
        let methods = arm
            .watch
            .iter()
            .filter(|plan| kept.methods.iter().any(|method| method.name == plan.name))
            .map(|plan| method(kept, (&plan.name, plan.rule.kind()), row))
            .collect::<Result<_, _>>()?;
        Ok(Panel { sample: SampleId(row as u64), image, methods })
    };
    kept.images.outer_iter().enumerate().map(one).collect()
}

fn method(
    kept: &ArmMaps,
    (name, kind): (&str, &'static str),
    row: usize,
) -> Result<MethodPanel, ProtocolError> {
    let [_, h, w] = kept.shape;
    let square = |map: ArrayView1<'_, f32>| {
        Array3::from_shape_vec((map.len() / (h * w).max(1), h, w), map.to_vec())
            .map_err(|_| ProtocolError::Absent { what: "map of the image's size" })
    };
    let (mut summed, mut steps) = (Array2::zeros((h, w)), BTreeMap::new());
    for method in kept.methods.iter().filter(|method| method.name == name) {
        let map = square(method.maps.row(row))?;
        match method.span {
            Span::Window => summed = map.sum_axis(Axis(0)),
            Span::Step(index) => {
                steps.insert(index, map);
            }
            Span::Late | Span::Negative => {}
        }
    }
    Ok(MethodPanel { name: name.to_owned(), label: label::named(kind, name), kind, summed, steps })
}
