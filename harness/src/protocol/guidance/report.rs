//! What a guidance experiment shows.

use std::collections::BTreeSet;

use super::effect_plot::GuidanceEffect;
use super::input::{Cell, Strip};
use super::sheet_plot::{GuidanceSheet, Shows};
use super::sweep_plot::SweepMap;
use super::{Guidance, UNGUIDED, table};
use crate::guidance::{MaskConfig, RuleConfig};
use crate::plan::{ArmPlan, Work};
use crate::protocol::rows::real_remark;
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
    let [arms, sweep] = [Shows::Arms, Shows::Sweep].map(|shows| strips(guidance, evidence, shows));
    let sheets = [(arms?, Shows::Arms), (sweep?, Shows::Sweep)];
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
    for (strips, shows) in sheets {
        if let Some(figure) = GuidanceSheet::new(&strips, shows)? {
            out.extend(files(&figure)?);
        }
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
    let kid = || {
        let delta = find(metric::DELTA_KID)?;
        Some([delta.value?, delta.se?, find(metric::P_KID_HOLM)?.value?])
    };
    Some(Cell {
        kid: kid(),
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

/// Label of a line of images: what is swept, or the name of the arm.
fn line_of(guidance: &Guidance, (at, arm): (usize, &ArmPlan)) -> String {
    match guidance.cell(at) {
        Some(place) => {
            let lambda = place.lambda.to_string().replace('-', "−");
            format!("λ = {lambda}, {} %", 100.0 * place.percentile)
        }
        None => label_of(arm),
    }
}

/// The first images of every arm that is shown, sampler by sampler: of those that are no cell of the sweep, or of the cells
/// and what they are held against.
fn strips(
    guidance: &Guidance,
    evidence: &mut dyn Evidence,
    shows: Shows,
) -> Result<Vec<Strip>, ProtocolError> {
    let arms = &evidence.work().arms;
    let of_cells: Vec<String> = (arms.iter().enumerate())
        .filter(|(at, _)| guidance.cell(*at).is_some())
        .map(|(_, arm)| arm.sampler.label())
        .collect();
    let is_shown = |(at, arm): &(usize, ArmPlan)| match (shows, guidance.cell(*at)) {
        (Shows::Arms, cell) => cell.is_none(),
        (Shows::Sweep, Some(_)) => true,
        (Shows::Sweep, None) => arm.guide.is_none() && of_cells.contains(&arm.sampler.label()),
    };
    let listed: Vec<(usize, ArmPlan)> = arms.iter().cloned().enumerate().filter(is_shown).collect();
    let least = listed.iter().map(|(_, arm)| arm.n).min().unwrap_or(0);
    let samples: Vec<SampleId> = (0..N_SHOWN.min(least)).map(SampleId).collect();
    let mut strips: Vec<Strip> = Vec::new();
    for (at, arm) in listed {
        let shown = evidence.shown(at, &samples)?;
        let label = line_of(guidance, (at, &arm));
        let line = (label, shown.into_iter().map(|shown| shown.image).collect());
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
    remarks.extend(real_remark(work));
    remarks.extend(unguided(work));
    if let Some(row) = evidence.published() {
        let obstacle = row.obstacle.as_ref().map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {}.{obstacle}",
            row.network, row.dataset, work.model.name
        ));
    }
    remarks
}

/// What of a guided walk no rule has rewritten.
fn unguided(work: &Work) -> Option<String> {
    let guided = work.arms.iter().filter(|arm| arm.guide.is_some() && arm.sampler.asks());
    let samplers: BTreeSet<String> =
        guided.map(|arm| format!("`{}`", arm.sampler.label())).collect();
    (!samplers.is_empty()).then(|| {
        let samplers: Vec<String> = samplers.into_iter().collect();
        format!(
            "A rule rewrites the prediction at the place of each step. What {} asks for inside a step is the network's own.",
            samplers.join(", ")
        )
    })
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
    words.extend(rule.facts().words);
    words.join(", ")
}
