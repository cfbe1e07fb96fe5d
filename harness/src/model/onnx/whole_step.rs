//! A whole step of a trajectory by one graph.

use std::num::NonZeroUsize;

use ndarray::{Array4, ArrayView5, aview0, s};

use super::OnnxDenoiser;
use super::conversion::Line;
use super::derive::StepGraph;
use super::feed::Feed;
use super::footprint::at_most;
use super::lazy::LazySession;
use super::options::RuntimeOptions;
use super::rows::{calls, check_call, in_layout, prediction, rows};
use crate::config::model_yaml::Layout;
use crate::graph::step;
use crate::model::{ModelError, StepAnswer, StepInput, StepKind, StepUpdate, images_a_call};

/// Outputs of the graph, in the order of [`StepAnswer`].
const OUTPUTS: [&str; 5] =
    [step::EPSILON, step::X0_HAT, step::VARIANCE, step::MEAN_SQUARE, step::NEXT];

impl OnnxDenoiser {
    /// Lets the denoiser make steps of one more kind in one call.
    #[must_use]
    pub fn with_step(mut self, graph: StepGraph, options: &RuntimeOptions) -> Self {
        self.steps.push(LazySession::of(graph.path.clone(), graph, options));
        self
    }

    /// Rows of every call, where they are baked into the graph.
    pub fn fixed_batch(&self) -> Option<usize> {
        self.types.batch
    }

    /// Calls are cut by [`images_a_call`], and by what memory holds.
    pub(super) fn whole_step(&mut self, input: &StepInput<'_>) -> Result<StepAnswer, ModelError> {
        let (b, n_draws) = (input.at.t.len(), input.noise.shape()[0]);
        check_call(&self.parts, &input.at)?;
        self.check_step(input)?;
        let kind = input.update.kind(u32::try_from(n_draws).unwrap_or(u32::MAX));
        let wanted = |lazy: &&mut LazySession<StepGraph>| {
            lazy.graph().is_some_and(|graph| graph.kind == kind)
        };
        let Some(lazy) = self.steps.iter_mut().find(wanted) else {
            return Err(missing(&self.parts.spec.name, &kind));
        };
        let (session, _) = lazy.get()?;
        let [c, h, w] = self.parts.spec.shape;
        let mut out: [Array4<f32>; 5] = std::array::from_fn(|_| Array4::zeros((b, c, h, w)));
        let held = |rows: NonZeroUsize| NonZeroUsize::new((rows.get() / n_draws.max(1)).max(1));
        let fits = self.fits.forward.and_then(held);
        let size = at_most(images_a_call(self.micro_batch, n_draws), fits);
        for range in calls((b, size), self.types.t, |row| input.at.t[row]) {
            let rows = rows(&self.parts, &self.types, &input.at, range.clone())?;
            let layout = self.parts.layout;
            let noise = input.noise.slice(s![.., range.clone(), .., .., ..]);
            let update = input.update.of_rows(range.clone());
            let numbers = numbers(input, &update, rows.lines.first());
            let mut feeds = rows.feeds(&self.parts);
            feeds.push((step::NOISE, Feed::F32(draws_in_layout(noise, layout).into_dyn())));
            if let StepUpdate::DpmSolverPp2m { earlier, .. } = update {
                feeds.push((step::EARLIER, Feed::F32(in_layout(earlier, layout).into_dyn())));
            }
            let known = |name: &str| session.inputs().iter().any(|port| port.name == name);
            let fed = numbers.iter().filter(|(name, _)| known(name));
            feeds.extend(fed.map(|(name, value)| (*name, Feed::F64(aview0(value).into_dyn()))));
            let answers = session.run(&feeds, &OUTPUTS)?;
            for (out, answer) in out.iter_mut().zip(answers) {
                let part = prediction(&self.parts, answer, range.len())?;
                out.slice_mut(s![range.clone(), .., .., ..]).assign(&part);
            }
        }
        Ok(StepAnswer::of(out))
    }

    fn check_step(&self, input: &StepInput<'_>) -> Result<(), ModelError> {
        let (b, [c, h, w]) = (input.at.t.len(), self.parts.spec.shape);
        let model = self.parts.spec.name.clone();
        let (got, expected) = (input.noise.shape(), [input.noise.shape()[0], b, c, h, w]);
        if got != expected {
            let (got, expected) = (got.to_vec(), expected.to_vec());
            return Err(ModelError::Shape { model, input: "noise of the draws", got, expected });
        }
        if let StepUpdate::DpmSolverPp2m { earlier, .. } = &input.update
            && earlier.shape() != [b, c, h, w]
        {
            let (got, expected) = (earlier.shape().to_vec(), vec![b, c, h, w]);
            return Err(ModelError::Shape { model, input: "earlier x0_hat", got, expected });
        }
        if input.at.t.windows(2).any(|pair| pair[0] != pair[1]) {
            let message = "the states of a step are at several places, expected one".to_owned();
            return Err(ModelError::Runtime { context: model, message });
        }
        Ok(())
    }
}

/// Noise of the draws in the order of the graph.
fn draws_in_layout(noise: ArrayView5<'_, f32>, layout: Layout) -> ArrayView5<'_, f32> {
    match layout {
        Layout::Nchw => noise,
        Layout::Nhwc => noise.permuted_axes([0, 1, 3, 4, 2]),
    }
}

/// Numbers of a step; those of a line are read by graphs of networks whose output is no noise.
fn numbers(
    input: &StepInput<'_>,
    update: &StepUpdate<'_>,
    line: Option<&Line>,
) -> Vec<(&'static str, f64)> {
    let mut numbers = vec![(step::A, input.level.a()), (step::S, input.level.s())];
    match *update {
        StepUpdate::Ddim { a, s, .. } => numbers.extend([(step::NEXT_A, a), (step::NEXT_S, s)]),
        StepUpdate::DpmSolverPp2m { keep, gain, weight, .. } => {
            numbers.extend([(step::KEEP, keep), (step::GAIN, gain), (step::WEIGHT, weight)]);
        }
    }
    if let Some((of_output, of_x)) = line.map(Line::factors) {
        numbers.extend([(step::OF_OUTPUT, of_output), (step::OF_X, of_x)]);
    }
    numbers
}

fn missing(model: &str, kind: &StepKind) -> ModelError {
    let (method, model) = ("a step as one call", model.to_owned());
    let reason = format!("no graph was made of it for {kind:?}");
    ModelError::NotApplicable { method, model, reason }
}
