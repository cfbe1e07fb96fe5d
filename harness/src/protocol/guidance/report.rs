//! What a guidance experiment shows.

use super::effect_plot::GuidanceEffect;
use super::input::{Cell, Strip};
use super::sheet_plot::GuidanceSheet;
use super::sweep_plot::SweepMap;
use super::{Guidance, UNGUIDED, table};
use crate::guidance::{MaskConfig, RuleConfig};
use crate::plan::ArmPlan;
use crate::protocol::{Evidence, Numbers, ProtocolError};
use crate::report::plot::files;
use crate::report::{Artefact, Head, label, metric, page};
use crate::store::records::MetricRow;
use crate::units::SampleId;

/// Starts that the sheet shows: the first ones, so that nobody chose them.
const N_SHOWN: u64 = 10;

pub(super) fn report(
    guidance: &Guidance,
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let strips = strips(guidance, evidence)?;
    let work = evidence.work();
    let of_cell = |row: &MetricRow| {
        let mut cells = work.arms.iter().enumerate().filter(|(at, _)| guidance.cell(*at).is_some());
        cells.any(|(_, arm)| is_of(row, arm))
    };
    let between = |row: &MetricRow| row.argument.as_deref().is_some_and(|other| other != UNGUIDED);
    let (pairs, alone): (Vec<MetricRow>, Vec<MetricRow>) =
        numbers.rows.iter().cloned().partition(between);
    let listed: Vec<MetricRow> = alone.into_iter().filter(|row| !of_cell(row)).collect();
    let cells: Vec<Cell> = work
        .arms
        .iter()
        .enumerate()
        .filter_map(|(at, arm)| cell(guidance, (at, arm), &numbers.rows))
        .collect();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let remarks = remarks(guidance, evidence);
    let published = evidence.published_table();
    let document = table::document(head, (&listed, &pairs, &cells), &remarks, published)?;
    let mut out = page::files(&document);
    if let Some(figure) = GuidanceEffect::new(&listed)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = SweepMap::new(&cells)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = GuidanceSheet::new(&strips)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}

fn is_of(row: &MetricRow, arm: &ArmPlan) -> bool {
    row.arm == arm.name && row.sampler == arm.sampler.label()
}

fn cell(guidance: &Guidance, (at, arm): (usize, &ArmPlan), rows: &[MetricRow]) -> Option<Cell> {
    let place = guidance.cell(at)?;
    let find = |metric| rows.iter().find(|row| is_of(row, arm) && row.metric == metric);
    let delta = find(metric::DELTA)?;
    Some(Cell {
        lambda: place.lambda,
        percentile: place.percentile,
        sampler: arm.sampler.label(),
        delta: delta.value?,
        se: delta.se?,
        delta_inf: find(metric::DELTA_INF)?.value?,
        delta_inf_se: find(metric::DELTA_INF)?.se,
        p: find(metric::P_HOLM)?.value?,
        n_draws: arm.guide.as_ref().and_then(|rule| rule.values().n_draws),
        n: delta.n?,
    })
}

fn label_of(arm: &ArmPlan) -> String {
    label::named(arm.guide.as_ref().map_or(UNGUIDED, |rule| rule.kind()), &arm.name)
}

/// The first images of every arm that is no cell of the sweep, sampler by sampler.
fn strips(guidance: &Guidance, evidence: &mut dyn Evidence) -> Result<Vec<Strip>, ProtocolError> {
    let listed: Vec<(usize, ArmPlan)> = evidence
        .work()
        .arms
        .iter()
        .cloned()
        .enumerate()
        .filter(|(at, _)| guidance.cell(*at).is_none())
        .collect();
    let least = listed.iter().map(|(_, arm)| arm.n).min().unwrap_or(0);
    let samples: Vec<SampleId> = (0..N_SHOWN.min(least)).map(SampleId).collect();
    let mut strips: Vec<Strip> = Vec::new();
    for (at, arm) in listed {
        let shown = evidence.shown(at, &samples)?;
        let line = (label_of(&arm), shown.into_iter().map(|shown| shown.image).collect());
        let sampler = arm.sampler.label();
        match strips.iter_mut().find(|strip| strip.sampler == sampler) {
            Some(strip) => strip.arms.push(line),
            None => strips.push(Strip { sampler, samples: samples.clone(), arms: vec![line] }),
        }
    }
    Ok(strips)
}

/// Sentences that must stand under the table.
pub(super) fn remarks(guidance: &Guidance, evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let listed = work.arms.iter().enumerate().filter(|(at, _)| guidance.cell(*at).is_none());
    let mut remarks: Vec<String> = listed
        .filter_map(|(_, arm)| {
            let rule = arm.guide.as_ref()?;
            Some(format!("{}, `{}`: {}.", label_of(arm), arm.sampler.label(), words(rule)))
        })
        .collect();
    if let Some(row) = evidence.published() {
        let obstacle = row.obstacle.as_ref().map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {}.{obstacle}",
            row.network, row.dataset, work.model.name
        ));
    }
    remarks
}

/// What the percentile of a mask is taken over, where that is not the map at hand.
fn mask_words(mask: &MaskConfig) -> Option<String> {
    let (n_images, n_draws) = mask.set()?;
    let each = match mask {
        MaskConfig::DatasetScalar { .. } => "step",
        MaskConfig::DatasetPixel { .. } | MaskConfig::PerImage {} => "channel, pixel and step",
    };
    let (n_images, n_draws) = (n_images.unwrap_or_default(), n_draws.unwrap_or_default());
    Some(format!("taken over {n_images} other images for each {each} (M = {n_draws})"))
}

/// The values of a rule.
pub(in crate::protocol) fn words(rule: &RuleConfig) -> String {
    let values = rule.values();
    let mut words = Vec::new();
    words.extend(values.lambda.map(|lambda| format!("λ = {lambda}")));
    words.push(format!("percentile {}", values.percentile));
    words.extend(values.mask.and_then(mask_words));
    words.extend(values.n_draws.map(|n| format!("M = {n}")));
    words.push(match values.window {
        Some(window) => format!("steps {} to {}", window.start, window.start + window.len - 1),
        None => "every step".to_owned(),
    });
    words.extend(rule.words());
    words.join(", ")
}
