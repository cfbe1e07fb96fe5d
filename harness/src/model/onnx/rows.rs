//! One call to a denoiser, cut into rows and checked: what goes in, what must come out.

use std::ops::Range;

use ndarray::{Array1, Array2, Array4, ArrayView4, Axis as Dimension, Ix4, s};
use ort::value::TensorElementType;

use super::conversion::Line;
use super::parts::{DenoiserParts, IndexTypes};
use super::session::{Feed, OnnxSession};
use crate::model::{ModelError, NetworkInput};

/// Index inputs of one micro-batch, in the element types of the graph.
struct Indices {
    t: Index,
    y: Option<Index>,
}

enum Index {
    I64(Array1<i64>),
    I32(Array1<i32>),
    F32(Array1<f32>),
}

impl Index {
    fn new(values: impl Iterator<Item = u32>, dtype: TensorElementType) -> Self {
        match dtype {
            TensorElementType::Float32 => Self::F32(values.map(|v| v as f32).collect()),
            TensorElementType::Int32 => {
                Self::I32(values.map(|v| i32::try_from(v).unwrap_or(i32::MAX)).collect())
            }
            _ => Self::I64(values.map(i64::from).collect()),
        }
    }

    fn feed(&self) -> Feed<'_> {
        match self {
            Self::I64(values) => Feed::I64(values.view().into_dyn()),
            Self::I32(values) => Feed::I32(values.view().into_dyn()),
            Self::F32(values) => Feed::F32(values.view().into_dyn()),
        }
    }
}

/// One micro-batch: the rows `range` of a call.
pub(super) struct Rows<'a> {
    pub(super) x: ArrayView4<'a, f32>,
    indices: Indices,
    pub(super) lines: Vec<Line>,
}

impl Rows<'_> {
    pub(super) fn feeds<'b>(&'b self, parts: &'b DenoiserParts) -> Vec<(&'b str, Feed<'b>)> {
        let mut feeds = vec![
            (parts.x.as_str(), Feed::F32(self.x.view().into_dyn())),
            (parts.t.as_str(), self.indices.t.feed()),
        ];
        if let (Some(name), Some(y)) = (&parts.y, &self.indices.y) {
            feeds.push((name, y.feed()));
        }
        feeds
    }
}

pub(super) fn rows<'a>(
    parts: &DenoiserParts,
    types: IndexTypes,
    input: &NetworkInput<'a>,
    range: Range<usize>,
) -> Rows<'a> {
    let t = &input.t[range.clone()];
    let y = input.y.map(|y| &y[range.clone()]);
    let lines = t.iter().map(|t| Line::at(parts.prediction, &parts.schedule, *t)).collect();
    let t = Index::new(t.iter().map(|t| t.0 + parts.offset), types.t);
    let y = y.zip(types.y).map(|(y, dtype)| Index::new(y.iter().map(|label| label.0), dtype));
    let x = input.x.slice_move(s![range, .., .., ..]);
    Rows { x, indices: Indices { t, y }, lines }
}

/// Refuses a call whose arrays do not fit the network or each other.
pub(super) fn check_call(
    parts: &DenoiserParts,
    input: &NetworkInput<'_>,
) -> Result<(), ModelError> {
    let spec = &parts.spec;
    let (n, [c, h, w]) = (input.x.shape()[0], spec.shape);
    let shape = |input: &'static str, got: &[usize], expected: &[usize]| {
        let (got, expected) = (got.to_vec(), expected.to_vec());
        Err(ModelError::Shape { model: spec.name.clone(), input, got, expected })
    };
    if input.x.shape() != [n, c, h, w] {
        return shape("x", input.x.shape(), &[n, c, h, w]);
    }
    if input.t.len() != n {
        return shape("t", &[input.t.len()], &[n]);
    }
    let n_labels = input.y.map(<[_]>::len);
    let expected_labels = parts.y.as_ref().map(|_| n);
    if n_labels != expected_labels {
        return shape("y", &[n_labels.unwrap_or(0)], &[expected_labels.unwrap_or(0)]);
    }
    let last = parts.schedule.last();
    match input.t.iter().find(|t| **t > last) {
        None => Ok(()),
        Some(t) => Err(ModelError::Runtime {
            context: spec.name.clone(),
            message: format!("{t} lies past the last training time, {last}"),
        }),
    }
}

/// The first `c` channels of an answer `[n, c or 2 c, h, w]`.
pub(super) fn prediction(
    parts: &DenoiserParts,
    output: ndarray::ArrayD<f32>,
    n: usize,
) -> Result<Array4<f32>, ModelError> {
    let [c, h, w] = parts.spec.shape;
    let got = output.shape().to_vec();
    let wrong = || ModelError::Runtime {
        context: parts.spec.name.clone(),
        message: format!(
            "output `{}` has shape {got:?}, expected {:?}, or {} channels with learned variances",
            parts.output,
            [n, c, h, w],
            2 * c
        ),
    };
    let output = output.into_dimensionality::<Ix4>().map_err(|_| wrong())?;
    if output.shape() == [n, c, h, w] {
        return Ok(output);
    }
    if output.shape() != [n, 2 * c, h, w] {
        return Err(wrong());
    }
    Ok(output.slice(s![.., ..c, .., ..]).to_owned())
}

pub(super) fn check_draws(
    parts: &DenoiserParts,
    n_rows: usize,
    n_draws: usize,
) -> Result<(), ModelError> {
    if n_rows.is_multiple_of(n_draws) {
        return Ok(());
    }
    Err(ModelError::Runtime {
        context: parts.spec.name.clone(),
        message: format!("{n_rows} rows are no whole number of samples of {n_draws} draws"),
    })
}

pub(super) fn check_masks(
    parts: &DenoiserParts,
    masks: &Array2<u8>,
    (n, mask_len): (usize, usize),
    p: f32,
) -> Result<(), ModelError> {
    if masks.dim() != (n, mask_len) {
        return Err(ModelError::Shape {
            model: parts.spec.name.clone(),
            input: "masks",
            got: masks.shape().to_vec(),
            expected: vec![n, mask_len],
        });
    }
    if (0.0..1.0).contains(&p) {
        return Ok(());
    }
    Err(ModelError::Runtime {
        context: parts.spec.name.clone(),
        message: format!("the dropout probability is {p}, expected a number in [0, 1)"),
    })
}

/// Learned-variance channels get a cotangent of zero: they are no part of `epsilon_hat`.
pub(super) fn fit_channels(
    session: &OnnxSession,
    name: &str,
    cotangent: Array4<f32>,
) -> Array4<f32> {
    let (n, c, h, w) = cotangent.dim();
    let port = session.inputs().iter().find(|port| port.name == name);
    let declared = port.and_then(|port| port.dims.get(1).copied().flatten());
    if declared != Some(2 * c) {
        return cotangent;
    }
    let zeros = Array4::zeros((n, c, h, w));
    ndarray::concatenate![Dimension(1), cotangent, zeros]
}
