//! One call to a denoiser, cut into rows and checked: what goes in, what must come out.

use std::ops::Range;

use half::f16;
use ndarray::{Array1, Array2, Array4, ArrayD, ArrayView4, Axis as Dimension, Ix4, arr0, s};
use ort::value::TensorElementType;

use super::conversion::{Line, scaled_input};
use super::parts::{DenoiserParts, SmallInputs, TimeForm, TimeInput};
use super::session::{Feed, OnnxSession};
use crate::model::{ModelError, NetworkInput};
use crate::noise::nearest_f32;
use crate::schedule::NoisePoint;

/// Small inputs of one micro-batch, in the element types and the shape of the graph.
struct Small {
    t: Values,
    y: Option<Values>,
}

enum Values {
    I64(ArrayD<i64>),
    I32(ArrayD<i32>),
    F16(ArrayD<f16>),
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

impl Values {
    fn of_labels(values: impl Iterator<Item = u32>, dtype: TensorElementType) -> Self {
        let narrow = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        match dtype {
            TensorElementType::Int32 => Self::I32(Array1::from_iter(values.map(narrow)).into_dyn()),
            _ => Self::I64(Array1::from_iter(values.map(i64::from)).into_dyn()),
        }
    }

    /// Times, already as the network is told them.
    fn of_times(times: &ArrayD<f64>, dtype: TensorElementType) -> Result<Self, String> {
        match dtype {
            TensorElementType::Float16 => Ok(Self::F16(times.mapv(f16::from_f64))),
            TensorElementType::Float32 => Ok(Self::F32(times.mapv(nearest_f32))),
            TensorElementType::Float64 => Ok(Self::F64(times.clone())),
            _ => {
                let whole = times.iter().map(|t| whole(*t)).collect::<Result<Vec<i64>, _>>()?;
                let mut whole = whole.into_iter();
                let wide = times.mapv(|_| whole.next().unwrap_or_default());
                Ok(match dtype {
                    TensorElementType::Int32 => {
                        Self::I32(wide.mapv(|t| i32::try_from(t).unwrap_or(i32::MAX)))
                    }
                    _ => Self::I64(wide),
                })
            }
        }
    }

    fn feed(&self) -> Feed<'_> {
        match self {
            Self::I64(values) => Feed::I64(values.view()),
            Self::I32(values) => Feed::I32(values.view()),
            Self::F16(values) => Feed::F16(values.view()),
            Self::F32(values) => Feed::F32(values.view()),
            Self::F64(values) => Feed::F64(values.view()),
        }
    }
}

/// The integer that a time is, for graphs that take integers.
#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 in size")]
fn whole(t: f64) -> Result<i64, String> {
    if (t - t.round()).abs() < 1e-6 && t.abs() < 9e15 {
        return Ok(t.round() as i64);
    }
    Err(format!(
        "it takes whole numbers for the time and is asked at {t}: export it with a float time, or use a sampler that stays on training steps"
    ))
}

/// One micro-batch: the rows `range` of a call.
pub(super) struct Rows<'a> {
    pub(super) x: ArrayView4<'a, f32>,
    /// What the network gets for `x`, where it is not `x` itself.
    scaled: Option<Array4<f32>>,
    small: Small,
    pub(super) lines: Vec<Line>,
}

impl Rows<'_> {
    pub(super) fn feeds<'b>(&'b self, parts: &'b DenoiserParts) -> Vec<(&'b str, Feed<'b>)> {
        let x = self.scaled.as_ref().map_or(self.x.view(), |scaled| scaled.view());
        let mut feeds = vec![
            (parts.x.as_str(), Feed::F32(x.into_dyn())),
            (parts.t.as_str(), self.small.t.feed()),
        ];
        if let (Some(name), Some(y)) = (&parts.y, &self.small.y) {
            feeds.push((name, y.feed()));
        }
        feeds
    }
}

pub(super) fn rows<'a>(
    parts: &DenoiserParts,
    inputs: SmallInputs,
    input: &NetworkInput<'a>,
    range: Range<usize>,
) -> Result<Rows<'a>, ModelError> {
    let places = &input.t[range.clone()];
    let y = input.y.map(|y| &y[range.clone()]);
    let data = parts.schedule.edm_range().map_or(1.0, |range| range.sigma_data);
    let lines: Vec<Line> =
        places.iter().map(|place| Line::at(parts.prediction, &place.level, data)).collect();
    let axis = parts.schedule.axis();
    let mut told = places.iter().map(|place| parts.time.told(place, axis));
    let told = match inputs.t.form {
        TimeForm::Rows => Array1::from_iter(told).into_dyn(),
        // The caller cuts where the time changes.
        TimeForm::Single => Array1::from_iter(told.take(1)).into_dyn(),
        TimeForm::Scalar => arr0(told.next().unwrap_or_default()).into_dyn(),
    };
    let t = Values::of_times(&told, inputs.t.dtype)
        .map_err(|message| ModelError::Runtime { context: parts.spec.name.clone(), message })?;
    let y = y.zip(inputs.y);
    let y = y.map(|(y, dtype)| Values::of_labels(y.iter().map(|label| label.0), dtype));
    let x = input.x.slice_move(s![range, .., .., ..]);
    let scaled = scaled_input(&x, &lines);
    Ok(Rows { x, scaled, small: Small { t, y }, lines })
}

/// Consecutive rows that travel in one call: at most `size`, and of one time where a call has one only.
pub(super) fn calls(
    (n, size): (usize, usize),
    time: TimeInput,
    at: impl Fn(usize) -> NoisePoint,
) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in 0..n {
        let joins = |range: &Range<usize>| {
            range.len() < size && (time.form == TimeForm::Rows || at(range.start) == at(row))
        };
        match ranges.last_mut() {
            Some(range) if joins(range) => range.end = row + 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
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
    let Some(last) = parts.schedule.last() else { return Ok(()) };
    match input.t.iter().find(|place| place.t > f64::from(last.0)) {
        None => Ok(()),
        Some(place) => Err(ModelError::Runtime {
            context: spec.name.clone(),
            message: format!("t={} lies past the last training time, {last}", place.t),
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
