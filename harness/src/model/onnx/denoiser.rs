//! Denoisers: any exported diffusion network as `epsilon_hat`.

use std::ops::Range;

use ndarray::{Array1, Array2, Array4, ArrayView4, Axis as Dimension, Ix4, aview0, s};
use ort::value::TensorElementType;

use super::conversion::{Line, add_direct, output_cotangent, to_epsilon};
use super::derive::{DropoutGraph, VarianceGradientGraph, VjpGraph};
use super::lazy::{LazySession, Method};
use super::ports::{self, Axis};
use super::session::{Feed, GraphSource, OnnxSession, RuntimeOptions};
use crate::config::Prediction;
use crate::graph::dropout::{KEEP_SCALE, MASKS};
use crate::graph::fused::{GRADIENT, VARIANCE};
use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::schedule::NoiseSchedule;

/// What `model.yaml` says of a denoiser graph.
#[derive(Clone, Debug, PartialEq)]
pub struct DenoiserParts {
    /// What callers see.
    pub spec: DenoiserSpec,
    /// Input of the state.
    pub x: String,
    /// Input of the training time.
    pub t: String,
    /// Input of the class.
    pub y: Option<String>,
    /// Output.
    pub output: String,
    /// What the output is.
    pub prediction: Prediction,
    /// Noise schedule of training.
    pub schedule: NoiseSchedule,
    /// Added to the training time before the network sees it.
    pub offset: u32,
}

/// Element types that the graph chose for its two index inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IndexTypes {
    t: TensorElementType,
    y: Option<TensorElementType>,
}

/// A denoiser in ONNX Runtime.
///
/// Learned-variance channels are cut, the prediction is turned into `epsilon_hat`, the batch is cut
/// into micro-batches. Dropout and gradients run on graphs of their own, opened on first use.
#[derive(Debug)]
pub struct OnnxDenoiser {
    parts: DenoiserParts,
    types: IndexTypes,
    session: OnnxSession,
    dropout: LazySession<DropoutGraph>,
    vjp: LazySession<VjpGraph>,
    fused: Vec<LazySession<VarianceGradientGraph>>,
    micro_batch: usize,
}

impl OnnxDenoiser {
    /// Opens the plain forward graph and checks names, element types and dimensions.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] where the graph is not as `parts` says, [`ModelError::Runtime`] where
    /// the runtime refuses it.
    pub fn open(
        source: GraphSource<'_>,
        parts: DenoiserParts,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let session = OnnxSession::open(&parts.spec.name, source, options)?;
        let mut fed = vec![parts.x.as_str(), parts.t.as_str()];
        fed.extend(parts.y.as_deref());
        let types = check(&session, &parts)?;
        ports::no_others(&session, &fed)?;
        let none = |method: Method, reason: &str| method.unavailable(&parts.spec.name, reason);
        let dropout = none(Method::Dropout, "the bundle has no train-mode graph (graphs.train)");
        let vjp = none(Method::Vjp, "no gradient graph was made of it");
        Ok(Self {
            dropout: LazySession::missing(dropout, options),
            vjp: LazySession::missing(vjp, options),
            fused: Vec::new(),
            micro_batch: options.micro_batch.max(1),
            parts,
            types,
            session,
        })
    }

    /// Lets the denoiser drop out by `graph`, or remembers why it cannot.
    #[must_use]
    pub fn with_dropout(mut self, graph: Result<DropoutGraph, String>) -> Self {
        match graph {
            Ok(graph) => {
                self.parts.spec.dropout_mask_len = Some(graph.mask_len);
                self.parts.spec.dropout_p = graph.p;
                self.dropout.set(graph.path.clone(), graph);
            }
            Err(reason) => {
                self.dropout.refuse(Method::Dropout.unavailable(&self.parts.spec.name, &reason));
            }
        }
        self
    }

    /// Lets the denoiser give vector-Jacobian products by `graph`, or remembers why it cannot.
    #[must_use]
    pub fn with_vjp(mut self, graph: Result<VjpGraph, String>) -> Self {
        match graph {
            Ok(graph) => self.vjp.set(graph.path.clone(), graph),
            Err(reason) => {
                self.vjp.refuse(Method::Vjp.unavailable(&self.parts.spec.name, &reason));
            }
        }
        self
    }

    /// Lets the denoiser give the variance over draws and its gradient in one run, for one more number of draws.
    #[must_use]
    pub fn with_variance_gradient(
        mut self,
        graph: VarianceGradientGraph,
        options: &RuntimeOptions,
    ) -> Self {
        self.fused.push(LazySession::of(graph.path.clone(), graph, options));
        self
    }

    /// Why MC-Dropout is not applicable; `None` where it is.
    pub fn dropout_unavailable(&self) -> Option<String> {
        self.dropout.unavailable()
    }

    /// Why gradients are not applicable; `None` where they are.
    pub fn gradient_unavailable(&self) -> Option<String> {
        self.vjp.unavailable()
    }

    /// The forward graph's session.
    pub fn session(&self) -> &OnnxSession {
        &self.session
    }

    fn empty(&self, n: usize) -> Array4<f32> {
        let [c, h, w] = self.parts.spec.shape;
        Array4::zeros((n, c, h, w))
    }
}

fn check(session: &OnnxSession, parts: &DenoiserParts) -> Result<IndexTypes, ModelError> {
    use TensorElementType::{Float32, Int32, Int64};
    let [c, h, w] = parts.spec.shape;
    let inputs = session.inputs();
    let x = ports::find(session, "input", inputs, &parts.x)?;
    ports::element(session, x, &[Float32])?;
    ports::dims(session, x, &[Axis::Batch, Axis::Of(c), Axis::Of(h), Axis::Of(w)])?;
    let t = ports::find(session, "input", inputs, &parts.t)?;
    ports::element(session, t, &[Int64, Int32, Float32])?;
    ports::dims(session, t, &[Axis::Batch])?;
    let y = parts.y.as_ref().map(|y| ports::find(session, "input", inputs, y)).transpose()?;
    if let Some(y) = y {
        ports::element(session, y, &[Int64, Int32])?;
        ports::dims(session, y, &[Axis::Batch])?;
    }
    let output = ports::find(session, "output", session.outputs(), &parts.output)?;
    ports::element(session, output, &[Float32])?;
    let channels = match output.dims.get(1) {
        Some(Some(channels)) if *channels == 2 * c => 2 * c,
        _ => c,
    };
    ports::dims(session, output, &[Axis::Batch, Axis::Of(channels), Axis::Of(h), Axis::Of(w)])?;
    Ok(IndexTypes { t: t.dtype, y: y.map(|y| y.dtype) })
}

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
struct Rows<'a> {
    x: ArrayView4<'a, f32>,
    indices: Indices,
    lines: Vec<Line>,
}

impl Rows<'_> {
    fn feeds<'b>(&'b self, parts: &'b DenoiserParts) -> Vec<(&'b str, Feed<'b>)> {
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

fn rows<'a>(
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
fn check_call(parts: &DenoiserParts, input: &NetworkInput<'_>) -> Result<(), ModelError> {
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
fn prediction(
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

fn micro_batches(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(size).map(move |start| start..(start + size).min(n))
}

impl Denoiser for OnnxDenoiser {
    fn spec(&self) -> &DenoiserSpec {
        &self.parts.spec
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        check_call(&self.parts, &input)?;
        let n = input.t.len();
        let mut epsilon = self.empty(n);
        for range in micro_batches(n, self.micro_batch) {
            let rows = rows(&self.parts, self.types, &input, range.clone());
            let feeds = rows.feeds(&self.parts);
            let answer = self.session.run_one(&feeds, &self.parts.output)?;
            let mut part = prediction(&self.parts, answer, range.len())?;
            to_epsilon(&mut part, &rows.x, &rows.lines);
            epsilon.slice_mut(s![range, .., .., ..]).assign(&part);
        }
        Ok(epsilon)
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        let (session, graph) = self.dropout.get()?;
        check_call(&self.parts, &input)?;
        let n = input.t.len();
        check_masks(&self.parts, masks, (n, graph.mask_len), p)?;
        let keep_scale = 1.0 / (1.0 - p);
        let [c, h, w] = self.parts.spec.shape;
        let mut epsilon = Array4::zeros((n, c, h, w));
        for range in micro_batches(n, self.micro_batch) {
            let rows = rows(&self.parts, self.types, &input, range.clone());
            let mut feeds = rows.feeds(&self.parts);
            let masks = masks.slice(s![range.clone(), ..]);
            feeds.push((MASKS, Feed::U8(masks.into_dyn())));
            feeds.push((KEEP_SCALE, Feed::F32(aview0(&keep_scale).into_dyn())));
            let answer = session.run_one(&feeds, &self.parts.output)?;
            let mut part = prediction(&self.parts, answer, range.len())?;
            to_epsilon(&mut part, &rows.x, &rows.lines);
            epsilon.slice_mut(s![range, .., .., ..]).assign(&part);
        }
        Ok(epsilon)
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let (session, graph) = self.vjp.get()?;
        check_call(&self.parts, &input)?;
        if cotangent.shape() != input.x.shape() {
            return Err(ModelError::Shape {
                model: self.parts.spec.name.clone(),
                input: "cotangent",
                got: cotangent.shape().to_vec(),
                expected: input.x.shape().to_vec(),
            });
        }
        let mut epsilon = Array4::zeros(input.x.dim());
        let mut jtv = epsilon.clone();
        for range in micro_batches(input.t.len(), self.micro_batch) {
            let rows = rows(&self.parts, self.types, &input, range.clone());
            let v = cotangent.slice(s![range.clone(), .., .., ..]);
            let fed = fit_channels(session, &graph.cotangent, output_cotangent(&v, &rows.lines));
            let mut feeds = rows.feeds(&self.parts);
            feeds.push((&graph.cotangent, Feed::F32(fed.view().into_dyn())));
            let mut answers = session.run(&feeds, &[&self.parts.output, &graph.jtv])?;
            let mut product = prediction(&self.parts, answers.remove(1), range.len())?;
            let mut part = prediction(&self.parts, answers.remove(0), range.len())?;
            to_epsilon(&mut part, &rows.x, &rows.lines);
            add_direct(&mut product, &v, &rows.lines);
            epsilon.slice_mut(s![range.clone(), .., .., ..]).assign(&part);
            jtv.slice_mut(s![range, .., .., ..]).assign(&product);
        }
        Ok((epsilon, jtv))
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<(Array4<f32>, Array4<f32>)>, ModelError> {
        let wanted = |lazy: &&mut LazySession<VarianceGradientGraph>| {
            lazy.graph().is_some_and(|graph| graph.n_draws == n_draws)
        };
        let Some(lazy) = self.fused.iter_mut().find(wanted) else { return Ok(None) };
        check_call(&self.parts, &input)?;
        let (rows_in, draws) = (input.t.len(), n_draws.max(1) as usize);
        check_draws(&self.parts, rows_in, draws)?;
        let (session, _) = lazy.get()?;
        let [c, h, w] = self.parts.spec.shape;
        let mut variance = Array4::zeros((rows_in / draws, c, h, w));
        let mut gradient = variance.clone();
        let samples = (self.micro_batch / draws).max(1);
        for range in micro_batches(rows_in / draws, samples) {
            let rows =
                rows(&self.parts, self.types, &input, range.start * draws..range.end * draws);
            let mut answers = session.run(&rows.feeds(&self.parts), &[VARIANCE, GRADIENT])?;
            let part = prediction(&self.parts, answers.remove(1), range.len())?;
            gradient.slice_mut(s![range.clone(), .., .., ..]).assign(&part);
            let part = prediction(&self.parts, answers.remove(0), range.len())?;
            variance.slice_mut(s![range, .., .., ..]).assign(&part);
        }
        Ok(Some((variance, gradient)))
    }
}

fn check_draws(parts: &DenoiserParts, n_rows: usize, n_draws: usize) -> Result<(), ModelError> {
    if n_rows.is_multiple_of(n_draws) {
        return Ok(());
    }
    Err(ModelError::Runtime {
        context: parts.spec.name.clone(),
        message: format!("{n_rows} rows are no whole number of samples of {n_draws} draws"),
    })
}

fn check_masks(
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
fn fit_channels(session: &OnnxSession, name: &str, cotangent: Array4<f32>) -> Array4<f32> {
    let (n, c, h, w) = cotangent.dim();
    let port = session.inputs().iter().find(|port| port.name == name);
    let declared = port.and_then(|port| port.dims.get(1).copied().flatten());
    if declared != Some(2 * c) {
        return cotangent;
    }
    let zeros = Array4::zeros((n, c, h, w));
    ndarray::concatenate![Dimension(1), cotangent, zeros]
}
