//! What a filter shows.

use super::curve_plot::FilterCurve;
use super::sweep_plot::DrawSweep;
use super::{Filtering, POOL, bayesdiff, table};
use crate::protocol::rows::real_remark;
use crate::protocol::{Evidence, Numbers, ProtocolError, Shown};
use crate::report::plot::correlation::CorrelationMap;
use crate::report::plot::histogram::Histograms;
use crate::report::plot::sheet::{Exhibit, RankEnd, Sheet, coloured, ends, photograph};
use crate::report::plot::{files, pair};
use crate::report::{Artefact, Head, Labels, page};
use crate::store::records::{CurveRow, ScoreTable};
use crate::units::SampleId;

/// What a reader of few images misses.
const NO_KID: &str = "KID, which has no such bias, is not measured: it needs real images (n_real at the scale, reference.images).";

/// An image that a ranking chose.
struct Choice {
    method: usize,
    end: RankEnd,
    row: usize,
}

pub(super) fn report(
    filter: &Filtering,
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let labels = Labels::of(&numbers.rows);
    let exhibits = exhibits(evidence, (&numbers.scores, &labels))?;
    let remarks = remarks(filter, evidence);
    let work = evidence.work();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let published = evidence.published_table();
    let mut out = page::files(&table::document(head, &numbers.rows, &remarks, published)?);
    out.extend(plots(numbers, &exhibits)?);
    out.extend(pairs(&exhibits)?);
    if let Some(arm) = work.arms.first() {
        let (model, sampler) = (&work.model.name, arm.sampler.label());
        let caption = format!(
            "{model}, {sampler}, {} of {} images, seed {}",
            filter.n_keep, arm.n, work.seed
        );
        if let Some(figure) = DrawSweep::new(&numbers.rows, &arm.watch, &caption)? {
            out.extend(files(&figure)?);
        }
    }
    Ok(out)
}

/// Images at each end of a ranking that stand beside their map on the page of verdicts.
const N_PAIRS: usize = 3;

/// The first images of both ends of every ranking that has maps, with their maps.
pub(super) fn pairs(exhibits: &[Exhibit]) -> Result<Vec<Artefact>, ProtocolError> {
    let mut out = Vec::new();
    for (at, exhibit) in exhibits.iter().enumerate() {
        let same = |other: &&Exhibit| other.name == exhibit.name && other.end == exhibit.end;
        let rank = 1 + exhibits[..at].iter().filter(same).count();
        let Some(map) = exhibit.map.as_ref().filter(|_| rank <= N_PAIRS) else { continue };
        let end = match exhibit.end {
            RankEnd::MostCertain => "most",
            RankEnd::LeastCertain => "least",
        };
        let name = format!("{}-{end}-certain-{rank}", exhibit.name);
        out.extend(pair(&name, &photograph(&exhibit.image), &coloured(map))?);
    }
    Ok(out)
}

/// All figures that there are data for.
pub(super) fn plots(
    numbers: &Numbers,
    exhibits: &[Exhibit],
) -> Result<Vec<Artefact>, ProtocolError> {
    let labels = Labels::of(&numbers.rows);
    let columns = &numbers.scores.columns;
    let order: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut out = Vec::new();
    // Curves of several pools do not begin at one point: the figure is of the pool that methods share.
    let shared: Vec<CurveRow> =
        numbers.curves.iter().filter(|row| row.arm == POOL).cloned().collect();
    if let Some(figure) = FilterCurve::new(&shared, (&order, &labels))? {
        out.extend(files(&figure)?);
    }
    let shown = columns.iter().map(|(name, scores)| (labels.method(name), scores.clone()));
    let (samples, columns) = (numbers.scores.samples.clone(), shown.collect());
    if let Some(figure) = Histograms::new(&ScoreTable { samples, columns })? {
        out.extend(files(&figure)?);
    }
    if let Some(correlations) = table::correlations(&numbers.rows) {
        out.extend(files(&CorrelationMap::new(correlations)?)?);
    }
    if let Some(figure) = Sheet::new(exhibits)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}

/// Sentences that must stand under the table.
pub(super) fn remarks(filter: &Filtering, evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let (Some(arm), Some(extractor)) = (work.arms.first(), &work.extractor) else {
        return Vec::new();
    };
    let reference = match work.n_reference() {
        Some(n) => format!("{} ({n} images)", work.dataset()),
        None => format!("{} (number of images not recorded)", work.dataset()),
    };
    let mut remarks = vec![format!(
        "Measured: {} by {}, {} images, {} kept; features {} ({}), reference {reference}.",
        work.model.name,
        arm.sampler.label(),
        arm.n,
        filter.n_keep,
        extractor.name,
        extractor.preprocess,
    )];
    remarks.extend(bayesdiff::remark(filter));
    let generative = filter.generative_uncertainty.as_ref();
    remarks.extend(generative.and_then(|own| own.remark(work)));
    remarks.extend(small_pool(arm.n, extractor.dim as u64));
    remarks.extend(real_remark(work));
    if work.real.is_none() && filter.n_keep <= extractor.dim as u64 {
        remarks.push(NO_KID.to_owned());
    }
    if let Some(row) = evidence.published() {
        let obstacle = row.obstacle.as_ref().map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {} unless the names agree.{obstacle}",
            row.network, row.dataset, work.model.name
        ));
    }
    remarks
}

/// What a pool of few images does to FID and its error bars. Measured by simulation: with fewer than four images a
/// feature the standard error is up to a third too large, and the estimated bias a sixth to a third.
fn small_pool(n_pool: u64, dim: u64) -> Option<String> {
    if n_pool >= 4 * dim {
        return None;
    }
    Some(format!(
        "The pool has {n_pool} images for {dim} features: FID is biased upwards by far more than its standard error, and \
         not by the same amount in every row. Read Δ∞ beside Δ, and compare with no published value. The standard errors of \
         FID are right or up to a third too large; FID∞ is a rough guide."
    ))
}

/// The ends of every ranking, images of all rankings read at once.
fn exhibits(
    evidence: &mut dyn Evidence,
    (scores, labels): (&ScoreTable, &Labels),
) -> Result<Vec<Exhibit>, ProtocolError> {
    let choices = choices(scores);
    let mut samples: Vec<SampleId> = choices.iter().map(|c| scores.samples[c.row]).collect();
    samples.sort_unstable();
    samples.dedup();
    // A method whose name is that of an arm ranks that arm's images, every other one those of the pool.
    let arms: Vec<String> = evidence.work().arms.iter().map(|arm| arm.name.clone()).collect();
    let shown =
        (0..arms.len()).map(|arm| evidence.shown(arm, &samples)).collect::<Result<Vec<_>, _>>()?;
    let exhibit = |choice: &Choice| {
        let (name, column) = &scores.columns[choice.method];
        let arm = arms.iter().position(|arm| arm == name).unwrap_or(0);
        let wanted = scores.samples[choice.row];
        let found = shown[arm].iter().find(|shown| shown.sample == wanted)?;
        let Shown { sample, image, maps } = found;
        Some(Exhibit {
            name: name.clone(),
            method: labels.method(name),
            end: choice.end,
            sample: *sample,
            score: column[choice.row],
            image: image.clone(),
            map: maps.get(name).map(|map| map.sum_axis(ndarray::Axis(0))),
        })
    };
    Ok(choices.iter().filter_map(exhibit).collect())
}

/// The ends of every ranking, equal scores by sample id.
fn choices(scores: &ScoreTable) -> Vec<Choice> {
    let mut choices = Vec::new();
    for (method, (_, column)) in scores.columns.iter().enumerate() {
        choices.extend(ends(column).map(|(end, row)| Choice { method, end, row }));
    }
    choices
}
