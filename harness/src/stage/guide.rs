//! The same starts, sampled with and without a guidance rule.

use ndarray::{Array4, Axis, Zip};

use crate::guidance::{Guidance, StepThresholds};
use crate::model::{ModelError, Network};
use crate::plan::{ArmPlan, ArmTask};
use crate::protocol::guidance::DISPLACEMENT;
use crate::store::records::MethodScores;
use crate::uncertainty::{StepContext, Window};
use crate::units::SampleId;

use super::build::{self, OpenModel};
use super::gathered::ArmBatch;
use super::settings::GenerateOptions;
use super::starts::Starts;
use super::trajectory::run_batch as walk;
use super::{Run, StageError};

/// Samples `samples` as `arm` says, with `thresholds` where its mask asks for some. Every arm of a plan starts from the same `x_T` and class.
///
/// The one method is how far the rule moved the predictions: `sum over guided steps and elements of
/// (epsilon' - epsilon)^2`, 0 for an unguided arm; its evaluations are those of the rule.
pub(super) fn run_batch(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (arm, samples, thresholds): (&ArmPlan, &[SampleId], Option<&StepThresholds>),
) -> Result<ArmBatch, StageError> {
    let ArmTask::Sample { rule, .. } = &arm.task else {
        return Err(StageError::Absent { what: "guidance rule in an arm" });
    };
    let spec = model.denoiser.spec().clone();
    let starts = Starts::from_noise(run.plan.seed, samples, &spec);
    let stop = run.before_step();
    let request = starts.request(options.batch_size, &stop);
    let mut sampler = build::sampler(&arm.sampler, &model.schedule, &spec)?;
    let mut measured = build::guidance((rule, thresholds), &arm.sampler, (&model.schedule, &spec))?
        .map(|inner| Measured { inner, moved: vec![0.0; samples.len()] });
    let mut network = Network::new(model.denoiser.as_mut());
    let guidance = measured.as_mut().map(|rule| rule as &mut dyn Guidance);
    let outcome = walk(&request, sampler.as_mut(), &mut [], guidance, &mut network)?;
    let seconds = outcome.network_time.as_secs_f64();
    let score = measured.map_or_else(|| vec![0.0; samples.len()], |rule| rule.moved);
    let mut nfe = outcome.nfe;
    nfe.trajectory = 0;
    Ok(ArmBatch {
        images: model.decoder.decode(outcome.x0.view())?,
        methods: vec![MethodScores {
            method: DISPLACEMENT.to_owned(),
            score,
            map: None,
            nfe,
            network_seconds: seconds,
        }],
        nfe_trajectory: outcome.nfe.trajectory,
        network_seconds: seconds,
    })
}

/// A rule, and how far it moved the predictions of each row.
struct Measured {
    inner: Box<dyn Guidance>,
    moved: Vec<f64>,
}

impl Guidance for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn window(&self) -> Option<Window> {
        self.inner.window()
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let rewritten = self.inner.rewrite(context, network)?;
        let rows = rewritten.axis_iter(Axis(0)).zip(context.epsilon.axis_iter(Axis(0)));
        for (sum, (after, before)) in self.moved.iter_mut().zip(rows) {
            Zip::from(&after).and(&before).for_each(|after, before| {
                *sum += (f64::from(*after) - f64::from(*before)).powi(2);
            });
        }
        Ok(rewritten)
    }
}

#[cfg(test)]
mod tests;
