//! Denoisers: any exported diffusion network as `epsilon_hat`.

use ndarray::{Array2, Array4, ArrayView4, aview0, s};

use super::conversion::{add_direct, output_cotangent, to_epsilon};
use super::derive::{DropoutGraph, StepGraph, VarianceGradientGraph, VjpGraph};
use super::device::Device;
use super::feed::Feed;
use super::footprint::{PerGraph, at_most};
use super::lazy::{LazySession, Method};
use super::options::RuntimeOptions;
use super::parts::{DenoiserParts, SmallInputs, TimeForm, check};
use super::ports;
use super::posterior::OpenPosterior;
use super::rows::{
    calls, check_call, check_draws, check_masks, fit_channels, in_layout, prediction, rows,
};
use super::session::{GraphSource, OnnxSession};
use crate::graph::dropout::{KEEP_SCALE, MASKS};
use crate::graph::fused::{GRADIENT, VARIANCE};
use crate::model::{
    Denoiser, DenoiserSpec, ModelError, NetworkInput, Predictive, StepAnswer, StepInput, StepKind,
    WeightLook,
};
use crate::noise::NoiseKey;

/// A denoiser in ONNX Runtime.
///
/// Learned-variance channels are cut, the prediction is turned into `epsilon_hat`, the batch is cut
/// into micro-batches. Dropout and gradients run on graphs of their own, opened on first use.
#[derive(Debug)]
pub struct OnnxDenoiser {
    pub(super) parts: DenoiserParts,
    pub(super) types: SmallInputs,
    session: OnnxSession,
    pub(super) dropout: LazySession<DropoutGraph>,
    pub(super) vjp: LazySession<VjpGraph>,
    pub(super) fused: Vec<LazySession<VarianceGradientGraph>>,
    pub(super) steps: Vec<LazySession<StepGraph>>,
    pub(super) posterior: Option<OpenPosterior>,
    pub(super) layer_gradient: Option<LazySession<()>>,
    pub(super) micro_batch: usize,
    device: Device,
    /// Images a call that memory holds.
    pub(super) fits: PerGraph,
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
        fed.extend(parts.conditions.iter().map(|tensor| tensor.input.as_str()));
        let types = check(&session, &parts)?;
        ports::no_others(&session, ("model.yaml", &fed), |name| {
            format!(
                "write `graphs.denoiser.inputs.y: {name}` if it is the class, `conditions: {{{name}: {{file: NAME.npy}}}}` for values from a file, or "
            )
        })?;
        let none = |method: Method, reason: &str| method.unavailable(&parts.spec.name, reason);
        let dropout = none(Method::Dropout, "the bundle has no train-mode graph (graphs.train)");
        let vjp = none(Method::Vjp, "no gradient graph was made of it");
        Ok(Self {
            dropout: LazySession::missing(dropout, options),
            vjp: LazySession::missing(vjp, options),
            fused: Vec::new(),
            steps: Vec::new(),
            posterior: None,
            layer_gradient: None,
            micro_batch: options.micro_batch.max(1),
            device: options.device,
            fits: PerGraph::default(),
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
                self.parts.spec.dropout_reason = Some(reason.clone());
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

    /// Whether the rows of a call share one time, so that calls are cut where it changes.
    pub fn shares_time(&self) -> bool {
        self.types.t.form != TimeForm::Rows
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

/// Draws an image of a fused graph.
fn draws_of(lazy: &LazySession<VarianceGradientGraph>) -> Option<u32> {
    lazy.graph().map(|graph| graph.n_draws)
}

impl Denoiser for OnnxDenoiser {
    fn spec(&self) -> &DenoiserSpec {
        &self.parts.spec
    }

    fn is_elsewhere(&self) -> bool {
        !self.device.is_host()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        check_call(&self.parts, &input)?;
        let n = input.t.len();
        let mut epsilon = self.empty(n);
        let size = at_most(self.micro_batch, self.fits.forward);
        for range in calls((n, self.types.size(size)), self.types.t, |row| input.t[row]) {
            let rows = rows(&self.parts, &self.types, &input, range.clone())?;
            let feeds = rows.feeds(&self.parts);
            let answer = self.session.run_one(&feeds, &self.parts.output)?;
            let mut part = prediction(&self.parts, answer, rows.n_fed())?;
            to_epsilon(&mut part, &rows.x.view(), &rows.lines);
            epsilon.slice_mut(s![range, .., .., ..]).assign(&rows.asked(&part));
        }
        Ok(epsilon)
    }

    fn epsilon_predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        self.predictive(input, look)
    }

    fn epsilon_drawn(
        &mut self,
        input: NetworkInput<'_>,
        key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        self.drawn(input, key)
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        let (session, graph) = self.dropout.get()?;
        // An export of its own: it need not take the time, nor a batch, as the forward graph does.
        let types = check(session, &self.parts)?;
        check_call(&self.parts, &input)?;
        let n = input.t.len();
        check_masks(&self.parts, masks, (n, graph.mask_len), p)?;
        let keep_scale = 1.0 / (1.0 - p);
        let [c, h, w] = self.parts.spec.shape;
        let mut epsilon = Array4::zeros((n, c, h, w));
        let size = at_most(self.micro_batch, self.fits.dropout);
        for range in calls((n, types.size(size)), types.t, |row| input.t[row]) {
            let rows = rows(&self.parts, &types, &input, range.clone())?;
            let mut feeds = rows.feeds(&self.parts);
            let masks = rows.padded(&masks.slice(s![range.clone(), ..]));
            feeds.push((MASKS, Feed::U8(masks.view().into_dyn())));
            feeds.push((KEEP_SCALE, Feed::F32(aview0(&keep_scale).into_dyn())));
            let answer = session.run_one(&feeds, &self.parts.output)?;
            let mut part = prediction(&self.parts, answer, rows.n_fed())?;
            to_epsilon(&mut part, &rows.x.view(), &rows.lines);
            epsilon.slice_mut(s![range, .., .., ..]).assign(&rows.asked(&part));
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
        let size = at_most(self.micro_batch, self.fits.vjp);
        for range in calls((input.t.len(), self.types.size(size)), self.types.t, |row| input.t[row])
        {
            let rows = rows(&self.parts, &self.types, &input, range.clone())?;
            let v = rows.padded(&cotangent.slice(s![range.clone(), .., .., ..]));
            let place = (graph.cotangent.as_str(), self.parts.layout);
            let fed = fit_channels(session, place, output_cotangent(&v.view(), &rows.lines));
            let fed = in_layout(fed.view(), self.parts.layout);
            let mut feeds = rows.feeds(&self.parts);
            feeds.push((&graph.cotangent, Feed::F32(fed.into_dyn())));
            let mut answers = session.run(&feeds, &[&self.parts.output, &graph.jtv])?;
            let mut product = prediction(&self.parts, answers.remove(1), rows.n_fed())?;
            let mut part = prediction(&self.parts, answers.remove(0), rows.n_fed())?;
            to_epsilon(&mut part, &rows.x.view(), &rows.lines);
            add_direct(&mut product, &v.view(), &rows.lines);
            epsilon.slice_mut(s![range.clone(), .., .., ..]).assign(&rows.asked(&part));
            jtv.slice_mut(s![range, .., .., ..]).assign(&rows.asked(&product));
        }
        Ok((epsilon, jtv))
    }

    fn step_kinds(&self) -> Vec<StepKind> {
        self.steps.iter().filter_map(LazySession::graph).map(|graph| graph.kind).collect()
    }

    fn step(&mut self, input: StepInput<'_>) -> Result<StepAnswer, ModelError> {
        self.whole_step(&input)
    }

    /// A batch that is baked in need not hold a whole number of images.
    fn fuses(&self, n_draws: u32) -> bool {
        self.types.batch.is_none() && self.fused.iter().any(|lazy| draws_of(lazy) == Some(n_draws))
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<(Array4<f32>, Array4<f32>)>, ModelError> {
        if !self.fuses(n_draws) {
            return Ok(None);
        }
        let wanted = |lazy: &&mut LazySession<_>| draws_of(lazy) == Some(n_draws);
        let Some(lazy) = self.fused.iter_mut().find(wanted) else { return Ok(None) };
        check_call(&self.parts, &input)?;
        let (rows_in, draws) = (input.t.len(), n_draws.max(1) as usize);
        check_draws(&self.parts, rows_in, draws)?;
        let (session, _) = lazy.get()?;
        let [c, h, w] = self.parts.spec.shape;
        let mut variance = Array4::zeros((rows_in / draws, c, h, w));
        let mut gradient = variance.clone();
        let fits = self.fits.fused.get(&n_draws).copied();
        let samples = at_most((self.micro_batch / draws).max(1), fits);
        let time_of = |sample: usize| input.t[sample * draws];
        for range in calls((rows_in / draws, samples), self.types.t, time_of) {
            let rows =
                rows(&self.parts, &self.types, &input, range.start * draws..range.end * draws)?;
            let mut answers = session.run(&rows.feeds(&self.parts), &[VARIANCE, GRADIENT])?;
            let part = prediction(&self.parts, answers.remove(1), range.len())?;
            gradient.slice_mut(s![range.clone(), .., .., ..]).assign(&part);
            let part = prediction(&self.parts, answers.remove(0), range.len())?;
            variance.slice_mut(s![range, .., .., ..]).assign(&part);
        }
        Ok(Some((variance, gradient)))
    }
}
