//! MC-Dropout: variance of the predictions under random dropout masks.

use std::ops::Range;

use ndarray::parallel::prelude::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use ndarray::{Array2, Array4, Axis};

use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::micro_batch::conditions_of;
use super::perturb::draws_of;
use super::{
    Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given, Look,
    PerturbedStatistic, StepContext, Window, in_batches_of, variance_over_draws,
};
use crate::fault::Fault;
use crate::model::{DenoiserSpec, ModelError, Network, NetworkInput};
use crate::noise::{NoiseKey, Purpose, dropout_mask};

/// MC-Dropout as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McDropoutSettings {
    /// Name in tables, `mc_dropout` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The paper's `M`, at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Dropout probability, in (0, 1).
    pub p: Option<f64>,
}

impl EstimatorSettings for McDropoutSettings {
    fn take(&mut self) -> Given {
        let (name, n_draws, window) = (self.name.take(), self.n_draws.take(), self.window.take());
        Given { name, n_draws, window }
    }

    fn fill(&mut self, defaults: &Defaults) {
        self.p.get_or_insert(defaults.dropout_p);
    }

    fn default_window(&self, defaults: &Defaults) -> Window {
        defaults.dropout_window
    }

    fn faults(&self) -> Vec<Fault> {
        let outside = self.p.filter(|p| !(*p > 0.0 && *p < 1.0));
        let fault = |p| Fault::new("p", format!("dropout probability {p} is not inside (0, 1)"));
        outside.map(fault).into_iter().collect()
    }

    fn facts(&self) -> EstimatorFacts {
        EstimatorFacts { needs_gradient: false, signed: false }
    }

    fn not_applicable(&self, model: &DenoiserSpec) -> Option<String> {
        model.dropout_mask_len.is_none().then(|| {
            let absent = || {
                format!(
                    "{} has no Dropout: export its train-mode graph, and name it in model.yaml as graphs.train",
                    model.name
                )
            };
            model.dropout_reason.clone().unwrap_or_else(absent)
        })
    }

    fn build(&self, look: &Look<'_>) -> Result<Box<dyn Estimator>, EstimatorError> {
        #[expect(clippy::cast_possible_truncation, reason = "a probability")]
        let p = self.p.unwrap_or_default() as f32;
        Ok(Box::new(McDropout::new(look.window, look.n_draws, p)?.named(look.name)))
    }
}

/// `U_t = 1 / (M - 1) sum_m (e_m - mean e)^2` with `e_m = epsilon_theta(x_t, t)` under dropout mask m
/// (Gal and Ghahramani 2016). The trajectory itself uses no dropout.
///
/// # Why are the masks inputs?
/// ONNX Runtime removes `Dropout` nodes in silence, and its generator could not be keyed by sample:
/// a mask here depends on (seed, sample, loop index, draw) alone.
#[derive(Clone, Debug)]
pub struct McDropout {
    name: String,
    window: Window,
    n_draws: u32,
    p: f32,
}

impl McDropout {
    /// The estimator over `window` with `n_draws` masks that drop with probability `p`.
    ///
    /// # Errors
    /// [`EstimatorError`] below two draws or unless `0 < p < 1`.
    ///
    /// # Examples
    /// ```
    /// use dubench::uncertainty::{McDropout, Window};
    ///
    /// assert!(McDropout::new(Window { start: 40, len: 10 }, 5, 0.5).is_ok());
    /// assert!(McDropout::new(Window { start: 40, len: 10 }, 5, 0.0).is_err());
    /// ```
    pub fn new(window: Window, n_draws: u32, p: f32) -> Result<Self, EstimatorError> {
        check_draws("mc_dropout", n_draws, 2)?;
        if !(p > 0.0 && p < 1.0) {
            return Err(EstimatorError::DropoutProbability { got: p });
        }
        Ok(Self { name: "mc_dropout".to_owned(), window, n_draws, p })
    }

    /// The same under another name, for tables with several settings.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Masks of a range of rows, where row `m b + r` is draw m of batch row r.
    fn masks(&self, context: &StepContext<'_>, rows: Range<usize>, len: usize) -> Array2<u8> {
        let b = context.samples.len();
        let mut masks = Array2::zeros((rows.len(), len));
        let first = rows.start;
        masks.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(index, mut mask)| {
            let row = first + index;
            let key = NoiseKey {
                seed: context.seed,
                purpose: Purpose::Dropout,
                sample: context.samples[row % b],
                step: context.point.index.0,
                draw: u32::try_from(row / b).unwrap_or(u32::MAX),
            };
            if let Some(elements) = mask.as_slice_mut() {
                dropout_mask(key, 1.0 - self.p, elements);
            }
        });
        masks
    }
}

impl Estimator for McDropout {
    fn name(&self) -> &str {
        &self.name
    }

    fn window(&self) -> Window {
        self.window
    }

    fn estimate(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let Some(len) = network.spec().dropout_mask_len else {
            return Err(ModelError::NotApplicable {
                method: "mc_dropout",
                model: network.spec().name.clone(),
                reason: "it was trained or exported without dropout".to_owned(),
            });
        };
        let b = context.x.shape()[0];
        let total = b * self.n_draws as usize;
        let made = |rows: Range<usize>| {
            (self.masks(context, rows.clone(), len), repeated_rows(context, rows))
        };
        let place = context.point.place();
        let stacked =
            in_batches_of((total, context.max_batch), network, &made, |network, rows, made| {
                let (masks, x) = made;
                let times = vec![place; rows.len()];
                let classes = conditions_of(context.conditions, rows);
                let input = NetworkInput { x: x.view(), t: &times, y: classes.as_deref() };
                network.epsilon_dropout(input, &masks, self.p)
            })?;
        Ok(variance_over_draws(&draws_of(&stacked, b)))
    }

    fn as_perturbed(&self) -> Option<&dyn PerturbedStatistic> {
        None
    }
}

/// Rows `x[row % b]` of a range.
fn repeated_rows(context: &StepContext<'_>, rows: Range<usize>) -> Array4<f32> {
    let b = context.x.shape()[0];
    let rows: Vec<usize> = rows.map(|row| row % b).collect();
    context.x.select(Axis(0), &rows)
}
