//! What an experiment of pairs shows.

use super::evaluate::SCORE;
use super::sheet_plot::{Caption, Line, PairsSheet};
use super::{CLIP_SCORE, UNGUIDED};
use crate::guidance::DISPLACEMENT;
use crate::plan::ArmPlan;
use crate::protocol::guidance::rule_words;
use crate::protocol::{Evidence, Numbers, ProtocolError, Texts};
use crate::report::document::{Align, Cell, Grid, Section};
use crate::report::plot::files;
use crate::report::{Artefact, Head, Labels, cells, label, metric, page};
use crate::store::records::{MetricRow, ScoreTable};
use crate::units::SampleId;

/// Starts that the sheet shows: the first ones, so that nobody chose them.
const N_SHOWN: u64 = 8;

const NOTE_DELTA: &str = "Δ is the mean difference to the unguided images of the same starts, ± its standard error over pairs; p: \
     two-sided, Wilcoxon's signed ranks, exact up to 1,024 pairs; n pairs cannot give less than 2^(1 - n). \
     Moved: sum over guided steps and elements of the squared change of the prediction, mean over images ± SE. NFE: \
     evaluations per image of the trajectory + those of the method + reverse passes; classifier-free guidance counts two each.";

pub(super) fn report(
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let lines = lines(evidence, &numbers.scores)?;
    let texts = evidence.texts()?;
    let work = evidence.work();
    let n = work.arms.first().map_or(0, |arm| arm.n).min(N_SHOWN);
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let sections = vec![table(&numbers.rows, &work.model.name)];
    let remarks = remarks(evidence);
    let document = page::document(head, &numbers.rows, (sections, &remarks), None)?;
    let mut out = page::files(&document);
    let caption = Caption::new(&work.model.name, texts.as_ref(), n);
    if let Some(figure) = PairsSheet::new(n, &lines, caption)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}

fn label_of(arm: &ArmPlan) -> String {
    label::named(arm.guide.as_ref().map_or(UNGUIDED, |rule| rule.kind()), &arm.name)
}

/// The unguided images, the maps of them, and the images of every rule.
fn lines(evidence: &mut dyn Evidence, scores: &ScoreTable) -> Result<Vec<Line>, ProtocolError> {
    let arms = evidence.work().arms.clone();
    let mut lines = Vec::new();
    for (at, arm) in arms.iter().enumerate() {
        let samples: Vec<SampleId> = (0..arm.n.min(N_SHOWN)).map(SampleId).collect();
        let shown = evidence.shown(at, &samples)?;
        let images = shown.iter().map(|shown| shown.image.clone()).collect();
        let wanted = format!("{CLIP_SCORE}:{}", arm.name);
        let below = scores.columns.iter().find(|(name, _)| *name == wanted);
        let below = below.map_or(&[][..], |(_, scores)| scores);
        let below = below.iter().take(samples.len()).map(|score| format!("CLIP {score:.1}"));
        lines.push(Line::of_images(label_of(arm), images).with_notes(below.collect()));
        for method in &arm.watch {
            let maps: Vec<_> =
                shown.iter().filter_map(|shown| shown.maps.get(&method.name)).cloned().collect();
            if !maps.is_empty() {
                let name = label::named(method.rule.kind(), &method.name);
                lines.push(Line::of_maps(name, maps));
            }
        }
    }
    Ok(lines)
}

fn table(rows: &[MetricRow], model: &str) -> Section {
    let labels = Labels::of(rows);
    let mut grid = Grid::with_columns(&[
        ("Arm", Align::Left),
        ("Score", Align::Left),
        ("Mean ± SE", Align::Right),
        ("Δ unguided ± SE", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Seconds", Align::Right),
    ]);
    let mut last = "";
    for row in rows.iter().filter(|row| [SCORE, DISPLACEMENT].contains(&row.metric.as_str())) {
        let starts_group = row.arm != last;
        last = &row.arm;
        let line = line(row, (rows, &labels), &mut grid);
        grid.push(line, starts_group);
    }
    Section {
        heading: format!("Measured: `{model}`, the same prompts and starts"),
        grid: grid.without_empty_columns(),
        remarks: vec![NOTE_DELTA.to_owned()],
    }
}

/// A score of an arm, with its difference and tests from `rows`.
fn line(row: &MetricRow, (rows, labels): (&[MetricRow], &Labels), grid: &mut Grid) -> Vec<Cell> {
    let same = |other: &&MetricRow| other.arm == row.arm && other.method == row.method;
    let beside = |name: &str| rows.iter().filter(same).find(|other| other.metric == name);
    let name =
        if row.metric == DISPLACEMENT { "Moved".to_owned() } else { labels.method(&row.method) };
    vec![
        Cell::new(format!("`{}`", row.arm)),
        Cell::new(name),
        cells::estimate(Some(row), grid),
        cells::difference(beside(metric::DELTA), grid),
        cells::p_value(beside(metric::P_VALUE), grid),
        cells::p_value(beside(metric::P_HOLM), grid),
        cells::count(Some(row)),
        cells::nfe(Some(row)),
        cells::seconds(Some(row)),
    ]
}

/// Sentences that must stand under the table.
pub(super) fn remarks(evidence: &dyn Evidence) -> Vec<String> {
    let guided = evidence.work().arms.iter().filter_map(|arm| {
        let rule = arm.guide.as_ref()?;
        Some(format!("{}, `{}`: {}.", label_of(arm), arm.sampler.label(), rule_words(rule)))
    });
    let mut remarks: Vec<String> = guided.collect();
    let n_images = usize::try_from(evidence.work().arms.first().map_or(0, |arm| arm.n));
    let (texts, model) = (evidence.texts().ok().flatten(), &evidence.work().model.name);
    if let (Some(texts), Ok(n_images)) = (texts, n_images) {
        remarks.extend(texts.note.as_ref().map(|note| format!("`{model}`, {note}.")));
        remarks.push(prompts_remark(&texts, n_images));
    }
    remarks.push(agreement_remark(evidence));
    remarks
}

/// Which prompts there are, and over what errors and p are.
fn prompts_remark(texts: &Texts, n_images: usize) -> String {
    let first = texts.prompts.first().map(String::as_str).unwrap_or_default();
    match texts.prompts.len() {
        1 => format!(
            "One prompt, {first:?}: errors and p are over its {n_images} starts, and speak of that prompt alone."
        ),
        n if n < n_images => format!(
            "{n_images} starts of {n} prompts: starts of one prompt are not independent, so errors are cluster-robust over prompts, and p is of the {n} mean differences."
        ),
        _ => "One start a prompt: errors and p are over prompts.".to_owned(),
    }
}

/// What a CLIP score is, or that there is none.
fn agreement_remark(evidence: &dyn Evidence) -> String {
    match &evidence.work().extractor {
        Some(clip) => format!(
            "CLIP score: 100 max(cos, 0) of CLIP's embeddings of image and prompt, by `{}`; higher agrees better. arXiv:2104.08718 takes 2.5 in the place of 100.",
            clip.name
        ),
        None => "No CLIP score was taken: `features: {kind: clip, path: FOLDER}` names an exported CLIP.".to_owned(),
    }
}
