//! What a look along the walk shows.

use std::collections::BTreeSet;

use super::map_plot::SummedMapSheet;
use super::panels::{Panel, panels};
use super::spread_plot::StepSpread;
use super::step_plot::StepMapSheet;
use super::{MAPS, Stepwise, table};
use crate::protocol::{Evidence, Numbers, ProtocolError};
use crate::report::plot::sheet::{ends_of, photograph, tinted};
use crate::report::plot::{files, pair, style};
use crate::report::{Artefact, Head, Labels, number, page};

pub(super) fn report(
    protocol: &Stepwise,
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let labels = Labels::of(&numbers.rows);
    let work = evidence.work().clone();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let remarks = remarks(protocol, evidence);
    let n_steps = work.arms.first().map_or(0, |arm| arm.sampler.n_steps());
    let part = protocol.peak.steps(n_steps);
    let sections = vec![table::section(&numbers.rows, &labels, (&part, protocol.n_bootstrap))];
    let published = evidence.published_table();
    let document = page::document(head, &numbers.rows, (sections, &remarks), published)?;
    let mut out = page::files(&document);
    let caption = |at: usize| {
        let arm = work.arms.get(at)?;
        let (model, sampler, n) = (&work.model.name, arm.sampler.label(), number::count(arm.n));
        Some(format!("{model}, {sampler}, n = {n}, seed {}", work.seed))
    };
    let words = caption(0).unwrap_or_default();
    if let Some(figure) = StepSpread::new(&numbers.curves, &labels, (n_steps, &part, &words))? {
        out.extend(files(&figure)?);
    }
    let Some(at) = work.arms.iter().position(|arm| arm.name == MAPS) else { return Ok(out) };
    let panels = panels(&work.arms[at], &evidence.maps(at)?)?;
    let words = caption(at).unwrap_or_default();
    if let Some(figure) = SummedMapSheet::new(&panels, &words)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) =
        panels.first().map(|panel| StepMapSheet::new(panel, &words)).transpose()?
    {
        out.extend(files(&figure)?);
    }
    out.extend(pairs(&panels)?);
    Ok(out)
}

/// Images that stand beside their map on the page of verdicts.
const N_PAIRS: usize = 4;

/// The first images with the map of every method, summed over the walk.
fn pairs(panels: &[Panel]) -> Result<Vec<Artefact>, ProtocolError> {
    let mut out = Vec::new();
    for panel in panels.iter().take(N_PAIRS) {
        let image = photograph(&panel.image);
        for method in &panel.methods {
            let ends = ends_of(&method.summed, || format!("map of image {}", panel.sample))?;
            let map = tinted(&method.summed, ends, style::uniform);
            out.extend(pair(&format!("{}-of-image-{}", method.name, panel.sample), &image, &map)?);
        }
    }
    Ok(out)
}

/// Sentences that must stand under the table.
pub(super) fn remarks(protocol: &Stepwise, evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let Some(arm) = work.arms.first() else { return Vec::new() };
    let draws: BTreeSet<u32> = arm.watch.iter().map(|plan| plan.n_draws).collect();
    let draws: Vec<String> = draws.iter().map(u32::to_string).collect();
    vec![
        format!(
            "Measured: {} by {}, {} images, every step looked at with M = {}; maps of the first {} images.",
            work.model.name,
            arm.sampler.label(),
            arm.n,
            draws.join(", "),
            work.arms.get(1).map_or(0, |arm| arm.n),
        ),
        format!(
            "The paper (Figure 3, ADM on ImageNet 64) sees the largest spread between {:.0} % and {:.0} % of the walk.",
            100.0 * protocol.peak.first,
            100.0 * protocol.peak.last
        ),
    ]
}
