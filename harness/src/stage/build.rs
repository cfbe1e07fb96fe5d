//! From resolved values to objects: the only place where configuration is matched to algorithms.

use std::collections::BTreeMap;

use ndarray::Array3;

use crate::config::{
    AnalyticConfig, Clip, DirectionConfig, FinalAlphaBar as FinalAlphaBarConfig, GridConfig,
    MaskConfig, RuleConfig, SamplerConfig, ScheduleConfig,
};
use crate::guidance::authors_code::{self, AuthorsGradient, LoopIndexAlpha};
use crate::guidance::{
    Direction, GradientGuidance, Guidance, MapRecorder, MaskRule, MaskStatistic, PosteriorGuidance,
    SecondOrderGuidance, StepThresholds,
};
use crate::model::analytic::{GaussianDenoiser, IdentityDecoder};
use crate::model::onnx::SelfTestReport;
use crate::model::{Decoder, Denoiser, DenoiserSpec};
use crate::plan::{
    ArmTask, ControlRule, EstimatorPlan, EstimatorRule, Plan, SetStatistic, ThresholdSet,
};
use crate::sampler::{ClipX0, Ddim, DpmSolverPp2m, FinalAlphaBar, Sampler};
use crate::schedule::{NoiseSchedule, ScheduleError, TimestepGrid};
use crate::store::Provenance;
use crate::uncertainty::{
    CenteredVariance, CleanEstimate, Estimator, McDropout, MeanSquaredEpsilon, Perturbation,
    SampleVariance,
};

use super::StageError;
use super::statistics::ImageSource;

/// A model, ready to run.
pub struct OpenModel {
    /// Its noise predictions.
    pub denoiser: Box<dyn Denoiser>,
    /// Its way from states to images.
    pub decoder: Box<dyn Decoder>,
    /// Its noise schedule.
    pub schedule: NoiseSchedule,
    /// What runs it, where.
    pub provenance: Provenance,
    /// Whether a row's answer depends on its batch, as measured; `None` where it cannot.
    pub self_test: Option<SelfTestReport>,
    /// Real images, where the protocol starts from some.
    pub images: Option<Box<dyn ImageSource>>,
}

impl std::fmt::Debug for OpenModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenModel").field("spec", self.denoiser.spec()).finish_non_exhaustive()
    }
}

/// Name of the model with a closed form.
pub const ANALYTIC_NAME: &str = "analytic-gaussian";

/// The model with a closed form.
///
/// # Errors
/// [`StageError`] when the values make no model.
pub fn analytic(config: &AnalyticConfig) -> Result<OpenModel, StageError> {
    let AnalyticConfig { shape, mean, std, schedule, dropout, classes } = config;
    let schedule = noise_schedule(schedule)?;
    #[expect(clippy::cast_possible_truncation, reason = "a grey level in [-1, 1]")]
    let mean = Array3::from_elem((shape[0], shape[1], shape[2]), *mean as f32);
    let mut denoiser = GaussianDenoiser::new(schedule.clone(), mean, *std)?.with_clip_x0();
    if *dropout {
        denoiser = denoiser.with_dropout();
    }
    if let Some(classes) = classes {
        denoiser = denoiser.with_classes(*classes, 0.1);
    }
    Ok(OpenModel {
        denoiser: Box::new(denoiser),
        decoder: Box::new(IdentityDecoder),
        schedule,
        provenance: Provenance::new("closed form", "cpu"),
        self_test: None,
        images: None,
    })
}

/// A noise schedule.
///
/// # Errors
/// [`ScheduleError`].
pub fn noise_schedule(config: &ScheduleConfig) -> Result<NoiseSchedule, ScheduleError> {
    match config {
        ScheduleConfig::Linear { beta_start, beta_end, n_train_steps } => {
            NoiseSchedule::linear(*beta_start, *beta_end, *n_train_steps)
        }
        ScheduleConfig::ScaledLinear { beta_start, beta_end, n_train_steps } => {
            NoiseSchedule::scaled_linear(*beta_start, *beta_end, *n_train_steps)
        }
        ScheduleConfig::Cosine { n_train_steps } => NoiseSchedule::cosine(*n_train_steps),
    }
}

/// A sampler at its first step.
///
/// # Errors
/// [`StageError::Sampler`] or [`StageError::Schedule`].
pub fn sampler(
    config: &SamplerConfig,
    schedule: &NoiseSchedule,
    spec: &DenoiserSpec,
) -> Result<Box<dyn Sampler>, StageError> {
    match config {
        SamplerConfig::Ddim { n_steps, grid, clip_x0, final_alpha_bar } => {
            let grid = timestep_grid(grid, schedule, *n_steps)?;
            let clip = clip_rule(*clip_x0, spec);
            let last = match final_alpha_bar {
                FinalAlphaBarConfig::One => FinalAlphaBar::One,
                FinalAlphaBarConfig::First => FinalAlphaBar::FirstTrainStep,
            };
            Ok(Box::new(Ddim::new(schedule, &grid, clip, last)?))
        }
        SamplerConfig::DpmSolverPp2m { n_steps, grid } => {
            let grid = timestep_grid(grid, schedule, *n_steps)?;
            Ok(Box::new(DpmSolverPp2m::new(schedule, &grid)?))
        }
    }
}

fn clip_rule(clip: Clip, spec: &DenoiserSpec) -> ClipX0 {
    match clip {
        Clip::FollowModel if spec.clip_x0 => ClipX0::Unit,
        Clip::FollowModel | Clip::Off => ClipX0::Never,
    }
}

/// Draws of a rule whose plan gives none; a resolved plan always does.
const RULE_DRAWS: u32 = 5;

/// A guidance rule; `None` for the baseline. `thresholds` are those of its mask, where it takes them from a set.
///
/// # Errors
/// [`StageError::Guidance`] for values that make no rule, [`StageError::Absent`] for a mask without its thresholds.
pub fn guidance(
    (rule, thresholds): (&RuleConfig, Option<&StepThresholds>),
    sampler: &SamplerConfig,
    (schedule, spec): (&NoiseSchedule, &DenoiserSpec),
) -> Result<Option<Box<dyn Guidance>>, StageError> {
    let draws = rule.n_draws().unwrap_or(RULE_DRAWS);
    let (_, Some(percentile), _) = rule.values() else { return Ok(None) };
    let mask = mask(rule, percentile, thresholds)?;
    let released = |inner: Box<dyn Guidance>| -> Box<dyn Guidance> {
        let clip = match sampler {
            SamplerConfig::Ddim { clip_x0, .. } => clip_rule(*clip_x0, spec),
            SamplerConfig::DpmSolverPp2m { .. } => ClipX0::Never,
        };
        Box::new(LoopIndexAlpha::new(inner, schedule.clone(), clip))
    };
    Ok(Some(match rule {
        RuleConfig::Unguided {} => return Ok(None),
        RuleConfig::Gradient { lambda, direction, window, .. } => {
            let direction = match direction {
                DirectionConfig::Ascent => Direction::Ascent,
                DirectionConfig::Descent => Direction::Descent,
            };
            let rule = GradientGuidance::new(draws, *lambda, mask)?;
            Box::new(rule.with_direction(direction).with_window(*window))
        }
        RuleConfig::Posterior { window, .. } => {
            Box::new(PosteriorGuidance::new(draws, mask)?.with_window(*window))
        }
        RuleConfig::SecondOrder { lambda, window, .. } => {
            Box::new(SecondOrderGuidance::new(draws, *lambda, mask)?.with_window(*window))
        }
        RuleConfig::AuthorsGradient { lambda, batch_size, window, .. } => {
            let rule = AuthorsGradient::new((draws, *lambda, *batch_size), mask, *window)?;
            released(Box::new(rule))
        }
        RuleConfig::AuthorsPosterior { window, .. } => {
            released(Box::new(authors_code::posterior(draws, mask, *window)?))
        }
    }))
}

/// The mask of a rule.
fn mask(
    rule: &RuleConfig,
    percentile: f64,
    thresholds: Option<&StepThresholds>,
) -> Result<MaskRule, StageError> {
    if rule.mask().is_none_or(MaskConfig::is_per_image) {
        return Ok(MaskRule::per_image(percentile)?);
    }
    let thresholds = thresholds.ok_or(StageError::Absent { what: "thresholds for a mask" })?;
    Ok(MaskRule::dataset(thresholds.clone()))
}

/// What keeps the maps of a threshold set.
pub fn recorder(set: &ThresholdSet) -> MapRecorder {
    let statistic = match set.statistic {
        SetStatistic::SampleVar => MaskStatistic::SampleVariance,
        SetStatistic::VarianceWithPrediction => MaskStatistic::VarianceWithPrediction,
        SetStatistic::Centered => MaskStatistic::Centered,
    };
    let (n_draws, clean) = (set.n_draws, CleanEstimate::FollowSampler);
    MapRecorder::new(statistic, Perturbation { n_draws, clean })
}

fn timestep_grid(
    config: &GridConfig,
    schedule: &NoiseSchedule,
    n_steps: u32,
) -> Result<TimestepGrid, ScheduleError> {
    match config {
        GridConfig::Leading { offset } => {
            TimestepGrid::leading(schedule.n_train_steps(), n_steps, *offset)
        }
        GridConfig::Linspace {} => TimestepGrid::linspace(schedule.n_train_steps(), n_steps),
    }
}

/// Why a method of the plan cannot run on this model, for each that cannot: the dash of a table.
pub fn not_applicable(plan: &Plan, spec: &DenoiserSpec) -> BTreeMap<String, String> {
    let of_arms = plan.arms.iter().flat_map(|arm| match &arm.task {
        ArmTask::Reconstruct { estimators, .. } => estimators.as_slice(),
        ArmTask::Sample { .. } => &[],
    });
    plan.estimators
        .iter()
        .chain(of_arms)
        .filter(|estimator| matches!(estimator.rule, EstimatorRule::McDropout { .. }))
        .filter(|_| spec.dropout_mask_len.is_none())
        .map(|estimator| {
            let reason = format!(
                "{} has no Dropout: export its train-mode graph, and name it in model.yaml as graphs.train",
                spec.name
            );
            (estimator.name.clone(), reason)
        })
        .collect()
}

/// The estimators and step-wise controls of a plan that this model can serve, in plan order.
///
/// # Errors
/// [`StageError::Estimator`].
pub fn estimators(plan: &Plan, spec: &DenoiserSpec) -> Result<Vec<Box<dyn Estimator>>, StageError> {
    let absent = not_applicable(plan, spec);
    let mut built = applicable(&plan.estimators, &absent)?;
    for control in &plan.controls {
        match control.rule {
            ControlRule::TotalVariation {} => {}
            ControlRule::MeanSquaredEpsilon { window } => {
                built.push(Box::new(MeanSquaredEpsilon::new(window)));
            }
        }
    }
    Ok(built)
}

/// Estimators that are not `absent`, in their order.
///
/// # Errors
/// [`StageError::Estimator`].
pub fn applicable(
    estimators: &[EstimatorPlan],
    absent: &BTreeMap<String, String>,
) -> Result<Vec<Box<dyn Estimator>>, StageError> {
    estimators.iter().filter(|plan| !absent.contains_key(&plan.name)).map(estimator).collect()
}

fn estimator(plan: &EstimatorPlan) -> Result<Box<dyn Estimator>, StageError> {
    let EstimatorPlan { name, rule, n_draws, window } = plan;
    Ok(match rule {
        EstimatorRule::SampleVar {} => {
            Box::new(SampleVariance::new(*window, *n_draws)?.named(name.as_str()))
        }
        EstimatorRule::Centered {} => {
            Box::new(CenteredVariance::new(*window, *n_draws)?.named(name.as_str()))
        }
        EstimatorRule::McDropout { p } => {
            #[expect(clippy::cast_possible_truncation, reason = "a probability")]
            let p = *p as f32;
            Box::new(McDropout::new(*window, *n_draws, p)?.named(name.as_str()))
        }
    })
}
