//! What the report of a guidance experiment is made of, read from the stores.

use ndarray::s;

use crate::config::{Experiment, MaskConfig, RuleConfig};
use crate::plan::{ArmPlan, ArmTask};
use crate::report::guidance_input::{Cell, GuidanceInput, Strip};
use crate::report::label;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::MetricRow;
use crate::units::SampleId;

use super::evaluation::{self, Evaluation};
use super::reference::published;
use super::{Run, StageError};

/// Starts that the sheet shows: the first ones, so that nobody chose them.
const N_SHOWN: usize = 10;

/// Everything that tables and plots of a finished guidance experiment need.
///
/// # Errors
/// [`StageError::Store`] when the run is not evaluated, or a part is damaged.
pub fn report_input(run: &Run<'_>, experiment: &Experiment) -> Result<GuidanceInput, StageError> {
    let Evaluation { rows, .. } = evaluation::read(run)?;
    let is_cell =
        |row: &MetricRow| run.plan.arms.iter().any(|arm| cell_of(arm).is_some() && is_of(row, arm));
    Ok(GuidanceInput {
        experiment: run.plan.experiment.clone(),
        question: experiment.question.clone(),
        artefact: run.plan.artefact.clone(),
        scale: run.plan.scale.clone(),
        cells: cells(run, &rows),
        rows: rows.into_iter().filter(|row| !is_cell(row)).collect(),
        sheets: sheets(run)?,
        remarks: remarks(run, experiment)?,
    })
}

fn cell_of(arm: &ArmPlan) -> Option<(f64, f64)> {
    match &arm.task {
        ArmTask::Sample { cell: Some(cell), .. } => Some((cell.lambda, cell.percentile)),
        _ => None,
    }
}

fn is_of(row: &MetricRow, arm: &ArmPlan) -> bool {
    row.method == arm.name && row.sampler == arm.sampler.label()
}

fn cells(run: &Run<'_>, rows: &[MetricRow]) -> Vec<Cell> {
    let cell = |arm: &ArmPlan| {
        let (lambda, percentile) = cell_of(arm)?;
        let find = |metric| rows.iter().find(|row| is_of(row, arm) && row.metric == metric);
        let delta = find("delta_unguided")?;
        Some(Cell {
            lambda,
            percentile,
            sampler: arm.sampler.label(),
            delta: delta.value?,
            se: delta.se?,
            p: find("p_value")?.value?,
            n: delta.n?,
        })
    };
    run.plan.arms.iter().filter_map(cell).collect()
}

/// The first images of every arm that is no cell of the sweep, sampler by sampler.
fn sheets(run: &Run<'_>) -> Result<Vec<Strip>, StageError> {
    let stage_id = run.layout.stage_id(StageName::Generate);
    let mut strips: Vec<Strip> = Vec::new();
    for placed in run.plan.placed_arms().filter(|placed| cell_of(placed.arm).is_none()) {
        let Some(block) = run.plan.blocks().find(|block| placed.has(block)) else { continue };
        let path = run.layout.part(StageName::Generate, block.id);
        let images = part::read(&path, stage_id, Parts::All)?.images;
        let n = N_SHOWN.min(images.dim().0);
        let images = (0..n).map(|i| images.slice(s![i, .., .., ..]).to_owned()).collect();
        let sampler = placed.arm.sampler.label();
        let line = (placed.arm.name.clone(), images);
        match strips.iter_mut().find(|strip| strip.sampler == sampler) {
            Some(strip) => strip.arms.push(line),
            None => strips.push(Strip {
                sampler,
                samples: (0..n as u64).map(SampleId).collect(),
                arms: vec![line],
            }),
        }
    }
    Ok(strips)
}

/// Sentences that must stand under the table.
///
/// # Errors
/// [`StageError`] for published numbers that cannot be read.
pub fn remarks(run: &Run<'_>, experiment: &Experiment) -> Result<Vec<String>, StageError> {
    let plan = run.plan;
    let mut remarks: Vec<String> = plan
        .arms
        .iter()
        .filter(|arm| cell_of(arm).is_none())
        .filter_map(|arm| {
            let ArmTask::Sample { rule, .. } = &arm.task else { return None };
            (!rule.is_unguided()).then(|| {
                format!("{}, `{}`: {}.", label::method(&arm.name), arm.sampler.label(), words(rule))
            })
        })
        .collect();
    if let (Some(key), Some(setting)) = (&experiment.published, published(experiment)?) {
        let obstacle = setting.obstacle.map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {}.{obstacle}",
            key.network, key.dataset, plan.model.name
        ));
    }
    Ok(remarks)
}

/// What the percentile of a mask is taken over, where that is not the map at hand.
fn mask_words(mask: &MaskConfig) -> Option<String> {
    let (n_images, n_draws) = mask.set()?;
    let each = match mask {
        MaskConfig::DatasetScalar { .. } => "step",
        _ => "channel, pixel and step",
    };
    let (n_images, n_draws) = (n_images.unwrap_or_default(), n_draws.unwrap_or_default());
    Some(format!("taken over {n_images} other images for each {each} (M = {n_draws})"))
}

/// The values of a rule.
fn words(rule: &RuleConfig) -> String {
    let (lambda, percentile, window) = rule.values();
    let mut words = Vec::new();
    words.extend(lambda.map(|lambda| format!("λ = {lambda}")));
    words.extend(percentile.map(|percentile| format!("percentile {percentile}")));
    words.extend(rule.mask().and_then(mask_words));
    words.extend(rule.n_draws().map(|n| format!("M = {n}")));
    words.push(match window {
        Some(window) => format!("steps {} to {}", window.start, window.start + window.len - 1),
        None => "every step".to_owned(),
    });
    match rule {
        RuleConfig::Gradient { direction: crate::config::DirectionConfig::Descent, .. } => {
            words.push("downhill".to_owned());
        }
        RuleConfig::AuthorsGradient { batch_size, .. } => {
            words
                .push(format!("divided by a batch of {batch_size}, noise level at the loop index"));
        }
        RuleConfig::AuthorsPosterior { .. } => {
            words.push("last draw alone, noise level at the loop index".to_owned());
        }
        _ => {}
    }
    words.join(", ")
}
