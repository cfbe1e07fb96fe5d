//! What a timing shows.

use super::table;
use super::time_plot::RepeatTimes;
use crate::protocol::{Evidence, Numbers, ProtocolError};
use crate::report::plot::files;
use crate::report::{Artefact, Head, page};

pub(super) fn report(
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let mut remarks = remarks(evidence);
    remarks.push(conditions(evidence)?);
    let work = evidence.work();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let sections = vec![table::section(work, &numbers.rows)];
    let published = evidence.published_table();
    let document = page::document(head, &numbers.rows, (sections, &remarks), published)?;
    let mut out = page::files(&document);
    if let Some(figure) = RepeatTimes::new(&numbers.rows)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}

/// On what the times were taken.
fn conditions(evidence: &mut dyn Evidence) -> Result<String, ProtocolError> {
    let times = evidence.times(0)?;
    let say = |key: &str| times.conditions.get(key).map_or("unknown", String::as_str);
    Ok(format!(
        "Taken on {} (`{}`), {} threads, {} images a call, {}.",
        say("processor"),
        say("device"),
        say("threads"),
        say("batch_size"),
        say("runtime"),
    ))
}

/// Sentences that must stand under the table.
pub(super) fn remarks(evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let Some(arm) = work.arms.first() else { return Vec::new() };
    let mut remarks = vec![format!(
        "Measured: {} by {}, {} repeats of {} images; a warm-up of each arm is thrown away, the arms of a repeat stand in a \
         random order keyed by the seed, all walk by the same sampler from the same starts.",
        work.model.name,
        arm.sampler.label(),
        arm.n / u64::from(work.block_size.max(1)),
        work.block_size,
    )];
    if let Some(row) = evidence.published() {
        remarks.push(format!(
            "Published: {} on {}, one run on an unnamed GPU. Seconds cannot be compared, ratios can. The published ratios of ADM are \
             those of three steps (45 to 47), not of the four in the text.",
            row.network, row.dataset
        ));
    }
    remarks
}
