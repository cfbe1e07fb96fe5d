//! A denoiser under uncertain weights of its last layer, and what their posterior is fitted on.

use std::ops::Range;
use std::path::PathBuf;

use ndarray::{Array4, ArrayD, ArrayView4, Zip, s};

use super::OnnxDenoiser;
use super::conversion::{residual_target, scale_variance, to_epsilon};
use super::feed::Feed;
use super::footprint::at_most;
use super::lazy::LazySession;
use super::options::RuntimeOptions;
use super::posterior::{LayerGradients, OpenPosterior, PosteriorGraphs};
use super::rows::{Rows, calls, check_call, fit_channels, in_layout, prediction, rows};
use crate::graph::head::{BIAS, WEIGHT};
use crate::graph::last_layer::{FEATURES, VARIANCE};
use crate::graph::layer_gradient::{LAYER_GRADIENT, RESIDUAL_WEIGHT, TARGET};
use crate::model::{
    LastLayerPosterior, ModelError, NetworkInput, Predictive, WeightDraws, WeightLook,
};
use crate::noise::{NoiseKey, nearest_f32};

impl OnnxDenoiser {
    /// Lets the denoiser look at uncertain weights of its last layer.
    #[must_use]
    pub fn with_posterior(
        mut self,
        graphs: PosteriorGraphs,
        weights: LastLayerPosterior,
        options: &RuntimeOptions,
    ) -> Self {
        self.posterior = Some(OpenPosterior::new(graphs, weights, options));
        self
    }

    /// Lets the denoiser give what a posterior is fitted on, by the graph in this file.
    #[must_use]
    pub fn with_layer_gradient(mut self, path: PathBuf, options: &RuntimeOptions) -> Self {
        self.layer_gradient = Some(LazySession::of(path, (), options));
        self
    }

    /// What a posterior is fitted on: predictions at `input` held against `noise [b, c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError`] of the runtime and for shapes that disagree; [`ModelError::NotApplicable`] without its graph.
    pub fn layer_gradients(
        &mut self,
        input: NetworkInput<'_>,
        noise: ArrayView4<'_, f32>,
    ) -> Result<Vec<LayerGradients>, ModelError> {
        check_call(&self.parts, &input)?;
        let Some(lazy) = self.layer_gradient.as_mut() else {
            return Err(missing(&self.parts.spec.name, "no graph of its last layer was made"));
        };
        let (session, ()) = lazy.get()?;
        let mut all = Vec::new();
        let size = at_most(self.micro_batch, self.fits.forward);
        for range in calls((input.t.len(), self.types.size(size)), self.types.t, |row| input.t[row])
        {
            let rows = rows(&self.parts, &self.types, &input, range.clone())?;
            let e = rows.padded(&noise.slice(s![range.clone(), .., .., ..]));
            let (target, weight) = residual_target(&e.view(), &rows.x.view(), &rows.lines);
            let layout = self.parts.layout;
            let target = fit_channels(session, (TARGET, layout), target);
            let weight = fit_channels(session, (RESIDUAL_WEIGHT, layout), weight);
            let mut feeds = rows.feeds(&self.parts);
            feeds.push((TARGET, Feed::F32(in_layout(target.view(), layout).into_dyn())));
            feeds.push((RESIDUAL_WEIGHT, Feed::F32(in_layout(weight.view(), layout).into_dyn())));
            let mut answers = session.run(&feeds, &[FEATURES, LAYER_GRADIENT])?;
            let (gradient, features) = (answers.remove(1), answers.remove(0));
            all.push(LayerGradients { features, gradient, n: (range.len(), rows.n_fed()) });
        }
        Ok(all)
    }

    pub(super) fn predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        check_call(&self.parts, &input)?;
        if self.posterior.is_none() {
            let reason = "it has no posterior over its last layer: `dubench fit-laplace` makes one";
            return Err(missing(&self.parts.spec.name, reason));
        }
        let [c, h, w] = self.parts.spec.shape;
        let mut out = Predictive {
            mean: Array4::zeros((input.t.len(), c, h, w)),
            variance: Array4::zeros((input.t.len(), c, h, w)),
        };
        let size = at_most(self.micro_batch, self.fits.forward);
        let t = self.types.t;
        for range in calls((input.t.len(), self.types.size(size)), t, |row| input.t[row]) {
            let (mean, variance) = match look {
                WeightLook::Exact => self.over_all_weights(&input, range.clone())?,
                WeightLook::Draws(draws) => self.over_draws(&input, range.clone(), draws)?,
            };
            out.mean.slice_mut(s![range.clone(), .., .., ..]).assign(&mean);
            out.variance.slice_mut(s![range, .., .., ..]).assign(&variance);
        }
        Ok(out)
    }

    fn over_all_weights(
        &mut self,
        input: &NetworkInput<'_>,
        range: Range<usize>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let rows = rows(&self.parts, &self.types, input, range)?;
        let feeds = rows.feeds(&self.parts);
        let posterior = self.posterior.as_mut().ok_or_else(|| no_session(&self.parts.spec.name))?;
        let (session, ()) = posterior.exact.get()?;
        let mut answers = session.run(&feeds, &[&self.parts.output, VARIANCE])?;
        let mut variance = prediction(&self.parts, answers.remove(1), rows.n_fed())?;
        let mut mean = prediction(&self.parts, answers.remove(0), rows.n_fed())?;
        to_epsilon(&mut mean, &rows.x.view(), &rows.lines);
        scale_variance(&mut variance, &rows.lines);
        Ok((rows.asked(&mean).to_owned(), rows.asked(&variance).to_owned()))
    }

    fn over_draws(
        &mut self,
        input: &NetworkInput<'_>,
        range: Range<usize>,
        draws: WeightDraws,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let rows = rows(&self.parts, &self.types, input, range)?;
        let features = self.features(&rows)?;
        let mut moments: Option<Running> = None;
        for key in draws.keys() {
            let epsilon = self.under(&rows, &features, key)?;
            moments.get_or_insert_with(|| Running::of(epsilon.dim())).add(&epsilon);
        }
        let Some(moments) = moments.filter(|moments| moments.n >= 2.0) else {
            return Err(missing(
                &self.parts.spec.name,
                "a variance needs two weight draws or more",
            ));
        };
        let (mean, variance) = moments.close();
        Ok((rows.asked(&mean).to_owned(), rows.asked(&variance).to_owned()))
    }

    pub(super) fn drawn(
        &mut self,
        input: NetworkInput<'_>,
        key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        check_call(&self.parts, &input)?;
        let [c, h, w] = self.parts.spec.shape;
        let mut out = Array4::zeros((input.t.len(), c, h, w));
        let size = at_most(self.micro_batch, self.fits.forward);
        let t = self.types.t;
        for range in calls((input.t.len(), self.types.size(size)), t, |row| input.t[row]) {
            let rows = rows(&self.parts, &self.types, &input, range.clone())?;
            let features = self.features(&rows)?;
            let epsilon = self.under(&rows, &features, key)?;
            out.slice_mut(s![range, .., .., ..]).assign(&rows.asked(&epsilon));
        }
        Ok(out)
    }

    /// What the last layer reads.
    fn features(&mut self, rows: &Rows<'_>) -> Result<ArrayD<f32>, ModelError> {
        let feeds = rows.feeds(&self.parts);
        let posterior = self.posterior.as_mut().ok_or_else(|| no_session(&self.parts.spec.name))?;
        posterior.tapped.get()?.0.run_one(&feeds, FEATURES)
    }

    /// The prediction of all rows that are fed, under one draw of the weights.
    fn under(
        &mut self,
        rows: &Rows<'_>,
        features: &ArrayD<f32>,
        key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        let name = &self.parts.spec.name;
        let posterior = self.posterior.as_mut().ok_or_else(|| no_session(name))?;
        let (weight, bias) = posterior.weights.draw(key);
        let weight = shaped(name, weight, &posterior.shapes.0)?;
        let bias = match (bias, &posterior.shapes.1) {
            (Some(bias), Some(shape)) => Some(shaped(name, bias, shape)?),
            _ => None,
        };
        let (head, ()) = posterior.head.get()?;
        let mut fed = rows.feeds(&self.parts);
        fed.retain(|(name, _)| head.inputs().iter().any(|port| port.name == *name));
        fed.push((FEATURES, Feed::F32(features.view())));
        fed.push((WEIGHT, Feed::F32(weight.view())));
        if let Some(bias) = &bias {
            fed.push((BIAS, Feed::F32(bias.view())));
        }
        let answer = head.run_one(&fed, &self.parts.output)?;
        let mut epsilon = prediction(&self.parts, answer, rows.n_fed())?;
        to_epsilon(&mut epsilon, &rows.x.view(), &rows.lines);
        Ok(epsilon)
    }
}

/// Mean and sum of squared distances so far (Welford 1962).
struct Running {
    n: f64,
    mean: Array4<f64>,
    squares: Array4<f64>,
}

impl Running {
    fn of(dim: (usize, usize, usize, usize)) -> Self {
        Self { n: 0.0, mean: Array4::zeros(dim), squares: Array4::zeros(dim) }
    }

    fn add(&mut self, values: &Array4<f32>) {
        self.n += 1.0;
        let n = self.n;
        Zip::from(&mut self.mean).and(&mut self.squares).and(values).for_each(
            |mean, squares, v| {
                let away = f64::from(*v) - *mean;
                *mean += away / n;
                *squares += away * (f64::from(*v) - *mean);
            },
        );
    }

    fn close(self) -> (Array4<f32>, Array4<f32>) {
        let over = self.n - 1.0;
        (self.mean.mapv(nearest_f32), self.squares.mapv(|squares| nearest_f32(squares / over)))
    }
}

fn shaped(model: &str, values: Vec<f32>, shape: &[usize]) -> Result<ArrayD<f32>, ModelError> {
    ArrayD::from_shape_vec(shape.to_vec(), values).map_err(|error| ModelError::Runtime {
        context: format!("{model}, weights of its last layer"),
        message: error.to_string(),
    })
}

fn missing(model: &str, reason: &str) -> ModelError {
    let (model, reason) = (model.to_owned(), reason.to_owned());
    ModelError::NotApplicable { method: "bayesdiff", model, reason }
}

fn no_session(model: &str) -> ModelError {
    missing(model, "it has no posterior over its last layer")
}
