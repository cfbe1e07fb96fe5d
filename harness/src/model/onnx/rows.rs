//! One call to a denoiser, cut into rows and checked: what goes in, what must come out.

use std::ops::Range;

use ndarray::{
    Array1, Array2, Array4, ArrayD, ArrayView4, Axis as Dimension, CowArray, Ix4, arr0, s,
};

use super::conversion::{Line, scaled_input};
use super::feed::Feed;
use super::parts::{DenoiserParts, SmallInputs, TimeForm, TimeInput};
use super::session::OnnxSession;
use super::values::Values;
use crate::config::model_yaml::Layout;
use crate::model::{Condition, ModelError, NetworkInput};
use crate::schedule::NoisePoint;

/// One micro-batch: the rows `range` of a call, the last one repeated where the graph has a batch of its own.
pub(super) struct Rows<'a> {
    pub(super) x: CowArray<'a, f32, Ix4>,
    /// What the network gets for `x`, where it is not `x` itself.
    scaled: Option<Array4<f32>>,
    t: Values,
    /// Class and further conditions, by the names of their inputs.
    conditions: Vec<(String, Values)>,
    pub(super) lines: Vec<Line>,
    /// Rows that are no repetition.
    n: usize,
}

impl Rows<'_> {
    pub(super) fn feeds<'b>(&'b self, parts: &'b DenoiserParts) -> Vec<(&'b str, Feed<'b>)> {
        let x = self.scaled.as_ref().map_or(self.x.view(), |scaled| scaled.view());
        let mut feeds = vec![
            (parts.x.as_str(), Feed::F32(in_layout(x, parts.layout).into_dyn())),
            (parts.t.as_str(), self.t.feed()),
        ];
        feeds.extend(self.conditions.iter().map(|(name, values)| (name.as_str(), values.feed())));
        feeds
    }

    /// Rows that are fed.
    pub(super) fn n_fed(&self) -> usize {
        self.lines.len()
    }

    /// The rows of an answer that were asked for.
    pub(super) fn asked<'b>(&self, answer: &'b Array4<f32>) -> ArrayView4<'b, f32> {
        answer.slice(s![..self.n, .., .., ..])
    }

    /// One row of `array` for each row that is fed.
    pub(super) fn padded<A: Clone, D: ndarray::RemoveAxis>(
        &self,
        array: &ndarray::ArrayView<'_, A, D>,
    ) -> ndarray::Array<A, D> {
        array.select(Dimension(0), &padding(0..self.n, self.n_fed()))
    }
}

/// Rows of a range, the last one repeated up to `n`.
pub(super) fn padding(range: Range<usize>, n: usize) -> Vec<usize> {
    let last = range.end.saturating_sub(1);
    range.chain(std::iter::repeat(last)).take(n).collect()
}

/// A state `[b, c, h, w]` in the order of the graph.
pub(super) fn in_layout(x: ArrayView4<'_, f32>, layout: Layout) -> ArrayView4<'_, f32> {
    match layout {
        Layout::Nchw => x,
        Layout::Nhwc => x.permuted_axes([0, 2, 3, 1]),
    }
}

pub(super) fn rows<'a>(
    parts: &DenoiserParts,
    inputs: &SmallInputs,
    input: &NetworkInput<'a>,
    range: Range<usize>,
) -> Result<Rows<'a>, ModelError> {
    let n = range.len();
    let index = padding(range.clone(), inputs.batch.unwrap_or(n));
    let places: Vec<NoisePoint> = index.iter().map(|row| input.t[*row]).collect();
    let data = parts.schedule.edm_range().map_or(1.0, |range| range.sigma_data);
    let lines: Vec<Line> =
        places.iter().map(|place| Line::at(parts.prediction, &place.level, data)).collect();
    let refused = |message| ModelError::Runtime { context: parts.spec.name.clone(), message };
    let t = Values::of_times(&told(parts, inputs.t, &places), inputs.t.dtype).map_err(refused)?;
    let y: Vec<Condition> =
        input.y.map_or_else(Vec::new, |y| index.iter().map(|row| y[*row]).collect());
    let conditions = conditions(parts, inputs, &y).map_err(refused)?;
    let x = if index.len() == n {
        CowArray::from(input.x.slice_move(s![range, .., .., ..]))
    } else {
        CowArray::from(input.x.select(Dimension(0), &index))
    };
    let scaled = scaled_input(&x.view(), &lines);
    Ok(Rows { x, scaled, t, conditions, lines, n })
}

/// The time of each row, or of all, as the network is told it.
fn told(parts: &DenoiserParts, time: TimeInput, places: &[NoisePoint]) -> ArrayD<f64> {
    let axis = parts.schedule.axis();
    let mut told = places.iter().map(|place| parts.time.told(place, axis));
    match time.form {
        TimeForm::Rows => Array1::from_iter(told).into_dyn(),
        // The caller cuts where the time changes.
        TimeForm::Single => Array1::from_iter(told.take(1)).into_dyn(),
        TimeForm::Scalar => arr0(told.next().unwrap_or_default()).into_dyn(),
    }
}

/// Class and further conditions of rows.
fn conditions(
    parts: &DenoiserParts,
    inputs: &SmallInputs,
    y: &[Condition],
) -> Result<Vec<(String, Values)>, String> {
    let mut fed = Vec::new();
    if let (Some(name), Some(class)) = (&parts.y, inputs.y) {
        fed.push((name.clone(), class.values(y, parts.null_class)?));
    }
    for (tensor, dtype) in parts.conditions.iter().zip(&inputs.conditions) {
        let rows = tensor.rows(y).map_err(|error| error.to_string())?;
        fed.push((tensor.input.clone(), Values::of_numbers(rows, *dtype)));
    }
    Ok(fed)
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
    let n_conditions = input.y.map(<[_]>::len);
    let expected = (parts.y.is_some() || !parts.conditions.is_empty()).then_some(n);
    let labelled = |y: &[Condition]| y.iter().all(|condition| condition.label().is_some());
    if n_conditions != expected || (parts.y.is_some() && !input.y.is_some_and(labelled)) {
        return shape("y", &[n_conditions.unwrap_or(0)], &[expected.unwrap_or(0)]);
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
    let channels_last = parts.layout == Layout::Nhwc;
    let wrong = || ModelError::Runtime {
        context: parts.spec.name.clone(),
        message: format!(
            "output `{}` has shape {got:?}, expected {:?}, or {} channels with learned variances",
            parts.output,
            if channels_last { [n, h, w, c] } else { [n, c, h, w] },
            2 * c
        ),
    };
    let output = output.into_dimensionality::<Ix4>().map_err(|_| wrong())?;
    let output = if channels_last { output.permuted_axes([0, 3, 1, 2]) } else { output };
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
    (name, layout): (&str, Layout),
    cotangent: Array4<f32>,
) -> Array4<f32> {
    let (n, c, h, w) = cotangent.dim();
    let port = session.inputs().iter().find(|port| port.name == name);
    let channels = if layout == Layout::Nhwc { 3 } else { 1 };
    let declared = port.and_then(|port| port.dims.get(channels).copied().flatten());
    if declared != Some(2 * c) {
        return cotangent;
    }
    let zeros = Array4::zeros((n, c, h, w));
    ndarray::concatenate![Dimension(1), cotangent, zeros]
}
