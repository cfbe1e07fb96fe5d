//! What a report is made of, read from the stores.

use std::collections::BTreeMap;

use ndarray::{Axis, s};

use crate::config::Experiment;
use crate::report::input::{Exhibit, RankEnd, ReportInput};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::{ImagePart, ScoreTable};
use crate::store::sidecar;
use crate::units::{BlockId, SampleId};

use super::evaluation::{self, Evaluation};
use super::reference::published;
use super::{Run, StageError};

/// Images shown at each end of each ranking.
const N_EXHIBITS: usize = 8;

/// An image that a ranking chose.
struct Choice {
    method: usize,
    end: RankEnd,
    place: usize,
    row: usize,
}

/// Everything that tables and plots of a finished run need.
///
/// # Errors
/// [`StageError::Store`] when the run is not evaluated, or a part is damaged.
pub fn report_input(run: &Run<'_>, experiment: &Experiment) -> Result<ReportInput, StageError> {
    let Evaluation { rows, curves, scores, .. } = evaluation::read(run)?;
    let exhibits = exhibits(run, &scores)?;
    Ok(ReportInput {
        experiment: run.plan.experiment.clone(),
        question: experiment.question.clone(),
        artefact: run.plan.artefact.clone(),
        scale: run.plan.scale.clone(),
        rows,
        curves,
        scores,
        exhibits,
        remarks: remarks(run, experiment)?,
    })
}

/// Sentences that must stand under the table.
///
/// # Errors
/// [`StageError::Config`] or [`StageError::Published`] for the published numbers.
pub fn remarks(run: &Run<'_>, experiment: &Experiment) -> Result<Vec<String>, StageError> {
    let plan = run.plan;
    let reference = match plan.reference.n {
        Some(n) => format!("{} ({n} images)", plan.reference.dataset),
        None => format!("{} (number of images not recorded)", plan.reference.dataset),
    };
    let extractor =
        plan.extractor.as_ref().ok_or(StageError::Absent { what: "feature network" })?;
    let mut remarks = vec![format!(
        "Measured: {} by {}, {} images, {} kept; features {} ({}), reference {reference}.",
        plan.model.name,
        plan.sampler.label(),
        plan.n_pool,
        plan.n_keep,
        extractor.name,
        extractor.preprocess,
    )];
    remarks.extend(small_pool(plan.n_pool, extractor.dim as u64));
    if let (Some(key), Some(setting)) = (&experiment.published, published(experiment)?) {
        let obstacle = setting.obstacle.map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {} unless the names agree.{obstacle}",
            key.network, key.dataset, plan.model.name
        ));
    }
    Ok(remarks)
}

/// What a pool of few images does to FID and its error bars. Measured by simulation: with fewer than four images a
/// feature the standard error is up to a third too large, and the estimated bias a sixth to a third.
fn small_pool(n_pool: u64, dim: u64) -> Option<String> {
    if n_pool >= 4 * dim {
        return None;
    }
    Some(format!(
        "The pool has {n_pool} images for {dim} features: FID is biased upwards by far more than its standard error, \
         equally for every row, so compare rows and not with published values; the standard errors are upper bounds \
         and FID∞ is a rough guide. Δ and p are exact within the pool."
    ))
}

fn exhibits(run: &Run<'_>, scores: &ScoreTable) -> Result<Vec<Exhibit>, StageError> {
    let choices = choices(scores);
    let size = u64::from(run.plan.block_size);
    let mut by_block: BTreeMap<u64, Vec<Choice>> = BTreeMap::new();
    for choice in choices {
        by_block.entry(scores.samples[choice.row].0 / size).or_default().push(choice);
    }
    let mut placed = Vec::new();
    for (block, choices) in by_block {
        let path = run.layout.part(StageName::Generate, BlockId(block));
        sidecar::require(&path)?;
        let part = part::read(&path, run.layout.stage_id(StageName::Generate), Parts::All)?;
        for choice in choices {
            let (method, score) = {
                let (name, column) = &scores.columns[choice.method];
                (name.clone(), column[choice.row])
            };
            let sample = scores.samples[choice.row];
            if let Some(exhibit) = exhibit(&part, (method, choice.end), sample, score) {
                placed.push(((choice.method, choice.end, choice.place), exhibit));
            }
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, exhibit)| exhibit).collect())
}

/// The ends of every ranking, equal scores by sample id.
fn choices(scores: &ScoreTable) -> Vec<Choice> {
    let mut choices = Vec::new();
    for (method, (_, column)) in scores.columns.iter().enumerate() {
        let mut order: Vec<usize> = (0..column.len()).collect();
        order.sort_by(|i, j| column[*i].total_cmp(&column[*j]).then(i.cmp(j)));
        let n = N_EXHIBITS.min(order.len() / 2);
        let lowest = order[..n].iter().map(|row| (RankEnd::MostCertain, *row));
        let highest =
            order[order.len() - n..].iter().rev().map(|row| (RankEnd::LeastCertain, *row));
        for (index, (end, row)) in lowest.chain(highest).enumerate() {
            choices.push(Choice { method, end, place: index, row });
        }
    }
    choices
}

fn exhibit(
    part: &ImagePart,
    (method, end): (String, RankEnd),
    sample: SampleId,
    score: f64,
) -> Option<Exhibit> {
    let row = part.samples.iter().position(|id| *id == sample)?;
    let scores = part.scores.iter().find(|scores| scores.method == method)?;
    let map = scores.map.as_ref().and_then(|maps| maps.get(row));
    let map = map.map(|map| map.index_axis(Axis(0), 0).to_owned());
    let image = part.images.slice(s![row, .., .., ..]).to_owned();
    Some(Exhibit { method, end, sample, score, image, map })
}
