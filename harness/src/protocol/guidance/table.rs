//! The layout of Table 3: one row an arm, differences paired over the same starts.

use super::input::Cell as SweepCell;
use crate::config::published::PublishedTable;
use crate::guidance::DISPLACEMENT;
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::{Head, ReportError, Setting, cells, label, metric, number, page};
use crate::store::records::MetricRow;

const NOTE_DELTA: &str = "Δ is FID minus that of the unguided images of the same starts and sampler, ± its standard error \
     by the influence of each pair; p is two-sided, by the normal law. p (Holm) is p adjusted by Holm's method over the arms \
     of one table; verdicts and stars go by it. * p < 0.05, ** p < 0.01, *** p < 0.001; n.s.: inside the noise.";
const NOTE_NFE: &str = "NFE: evaluations per image of the trajectory + those of the rule + its reverse passes. Moved: sum \
     over guided steps and elements of the squared change of the prediction, mean over images ± SE.";
const NOTE_SMALL: &str = "FID over fewer images than features is biased upwards, and not equally for both images of a pair. Δ∞ is \
     the difference of FID∞, where each set is rid of its own bias by its own halves, ± the jackknife over ten groups of \
     starts left out in turn, which errs upwards. It is a rough guide; where Δ and Δ∞ differ by more than the ±, part of Δ \
     is bias. Compare FID within one n only.";
const NOTE_KID: &str = "KID is the unbiased squared MMD with the kernel (x·y / d + 1)³ of all images of an arm at once, to real images; it has no \
     bias of few images. Δ KID is paired over the same starts, ± its standard error over new pairs; p KID is by exchanging the \
     images of pairs at random, p KID (Holm) is adjusted as p (Holm). ≤ marks the floor of p: no exchange gave as much.";
const NOTE_RULES: &str = "First minus second, over the starts that both have, ± the standard error by the influence of each pair; p \
     (Holm) is adjusted over the rows of this table. Two differences to no guidance are no test of two rules.";

/// All tables of a result. `rows` leaves out what is in `pairs`, differences between two rules, and in `cells`, those of the
/// sweep.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub(super) fn document(
    head: Head<'_>,
    (rows, pairs, cells): (&[MetricRow], &[MetricRow], &[SweepCell]),
    remarks: &[String],
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    let settings = Setting::all(rows, Setting::of);
    let mut sections: Vec<Section> = settings.iter().map(|setting| rules(setting, rows)).collect();
    if let Some(first) = sections.first_mut() {
        let kid = rows.iter().any(|row| row.metric == metric::KID);
        let notes = [NOTE_DELTA, NOTE_NFE, NOTE_SMALL].into_iter().chain(kid.then_some(NOTE_KID));
        first.remarks.extend(notes.map(str::to_owned));
    }
    sections.extend(settings.iter().filter_map(|setting| between(setting, pairs)));
    sections.extend(Quantity::ALL.iter().filter_map(|quantity| sweep(cells, *quantity)));
    page::document(head, rows, (sections, remarks), published)
}

fn rules(setting: &Setting, rows: &[MetricRow]) -> Section {
    let here: Vec<&MetricRow> = rows.iter().filter(|row| setting.holds(row)).collect();
    let mut grid = Grid::with_columns(&[
        ("Arm", Align::Left),
        ("FID ± SE", Align::Right),
        ("Δ unguided ± SE", Align::Right),
        ("Δ∞ unguided ± SE", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
        ("Verdict", Align::Left),
        ("KID × 10³ ± SE", Align::Right),
        ("Δ KID × 10³ ± SE", Align::Right),
        ("p KID", Align::Right),
        ("p KID (Holm)", Align::Right),
        ("Moved ± SE", Align::Right),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Seconds", Align::Right),
        ("Paper", Align::Right),
    ]);
    for fid in here.iter().copied().filter(|row| row.metric == metric::FID) {
        let at =
            |name: &str| here.iter().copied().find(|row| row.arm == fid.arm && row.metric == name);
        let names = [metric::DELTA, metric::DELTA_INF, metric::P_VALUE, metric::P_HOLM];
        let kid = [metric::KID, metric::DELTA_KID, metric::P_KID, metric::P_KID_HOLM].map(at);
        let cells = line(fid, (names.map(at), kid, at(DISPLACEMENT)), &mut grid);
        grid.push(cells, false);
    }
    Section {
        heading: format!(
            "Measured: `{}` against {}, sampler `{}`",
            setting.model, setting.dataset, setting.sampler
        ),
        grid: grid.without_empty_columns(),
        remarks: Vec::new(),
    }
}

/// `Δ`, `Δ∞`, p and adjusted p of a difference; KID and the same of it; then how far the predictions moved.
type Others<'a> = ([Option<&'a MetricRow>; 4], [Option<&'a MetricRow>; 4], Option<&'a MetricRow>);

fn line(
    fid: &MetricRow,
    ([delta, delta_inf, p, adjusted], [kid, delta_kid, p_kid, p_kid_holm], moved): Others<'_>,
    grid: &mut Grid,
) -> Vec<Cell> {
    let moved = moved.filter(|row| row.value != Some(0.0));
    let word = delta.and_then(|row| row.verdict.as_deref());
    vec![
        Cell::new(label::named(&fid.kind, &fid.arm)),
        cells::estimate(Some(fid), grid),
        cells::difference(delta, grid),
        cells::difference(delta_inf, grid),
        Cell::new(p.and_then(|row| number::p_value(row.value?)).unwrap_or_default()),
        Cell::new(adjusted.and_then(|row| number::p_value(row.value?)).unwrap_or_default()),
        cells::verdict(word, adjusted.and_then(|row| row.value)),
        cells::estimate(cells::in_thousandths(kid).as_ref(), grid),
        cells::difference(cells::in_thousandths(delta_kid).as_ref(), grid),
        cells::p_value(p_kid, grid),
        cells::p_value(p_kid_holm, grid),
        cells::estimate(moved, grid),
        cells::count(Some(fid)),
        cells::nfe(Some(fid)),
        cells::seconds(Some(fid)),
        cells::paper(Some(fid)),
    ]
}

/// Differences between two rules of a sampler.
fn between(setting: &Setting, pairs: &[MetricRow]) -> Option<Section> {
    let here: Vec<&MetricRow> = pairs.iter().filter(|row| setting.holds(row)).collect();
    let mut grid = Grid::with_columns(&[
        ("Rule", Align::Left),
        ("Against", Align::Left),
        ("Δ ± SE", Align::Right),
        ("Δ∞ ± SE", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
        ("Verdict", Align::Left),
        ("Δ KID × 10³ ± SE", Align::Right),
        ("p KID", Align::Right),
        ("p KID (Holm)", Align::Right),
        ("n", Align::Right),
    ]);
    for delta in here.iter().copied().filter(|row| row.metric == metric::DELTA) {
        let cells = difference_line(delta, &here, &mut grid);
        grid.push(cells, false);
    }
    (!grid.rows.is_empty()).then(|| Section {
        heading: format!(
            "Between rules: paired over the same starts, sampler `{}`",
            setting.sampler
        ),
        grid: grid.without_empty_columns(),
        remarks: vec![NOTE_RULES.to_owned()],
    })
}

/// A difference between two rules, with its tests from the rows of the same sampler.
fn difference_line(delta: &MetricRow, here: &[&MetricRow], grid: &mut Grid) -> Vec<Cell> {
    let at = |name: &str| {
        let same = |row: &&MetricRow| row.arm == delta.arm && row.argument == delta.argument;
        here.iter().copied().filter(same).find(|row| row.metric == name)
    };
    let p = |name: &str| at(name).and_then(|row| row.value);
    vec![
        Cell::new(format!("`{}`", delta.arm)),
        Cell::new(format!("`{}`", delta.argument.as_deref().unwrap_or(""))),
        cells::difference(Some(delta), grid),
        cells::difference(at(metric::DELTA_INF), grid),
        Cell::new(p(metric::P_VALUE).and_then(number::p_value).unwrap_or_default()),
        Cell::new(p(metric::P_HOLM).and_then(number::p_value).unwrap_or_default()),
        cells::verdict(delta.verdict.as_deref(), p(metric::P_HOLM)),
        cells::difference(cells::in_thousandths(at(metric::DELTA_KID)).as_ref(), grid),
        cells::p_value(at(metric::P_KID), grid),
        cells::p_value(at(metric::P_KID_HOLM), grid),
        cells::count(Some(delta)),
    ]
}

/// What a table of the sweep shows.
#[derive(Clone, Copy)]
enum Quantity {
    Delta,
    DeltaInf,
    DeltaKid,
}

impl Quantity {
    const ALL: [Self; 3] = [Self::Delta, Self::DeltaInf, Self::DeltaKid];

    fn heading(self) -> &'static str {
        match self {
            Self::Delta => "Δ unguided ± SE",
            Self::DeltaInf => "Δ∞ unguided ± SE",
            Self::DeltaKid => "Δ KID × 10³ unguided ± SE",
        }
    }

    /// The difference, and stars where it is the tested one.
    fn text(self, cell: &SweepCell) -> Option<String> {
        match self {
            Self::Delta => {
                let text = number::signed_with_error(cell.delta, Some(cell.se))?;
                Some(format!("{text} {}", number::stars(cell.p)).trim_end().to_owned())
            }
            Self::DeltaInf => number::signed_with_error(cell.delta_inf, cell.delta_inf_se),
            Self::DeltaKid => {
                let [delta, se, p] = cell.kid?;
                let text = number::signed_with_error(1e3 * delta, Some(1e3 * se))?;
                Some(format!("{text} {}", number::stars(p)).trim_end().to_owned())
            }
        }
    }

    /// What stands under the table whose cells are of the size of `first`.
    fn remarks(self, first: &SweepCell) -> Vec<String> {
        match self {
            Self::Delta => vec![format!(
                "Stars go by p adjusted by Holm's method over the cells. A cell has {}n = {}: hold it against an arm of \
                 another table only where M and n are the same.",
                draws(first),
                number::count(first.n)
            )],
            Self::DeltaInf => Vec::new(),
            Self::DeltaKid => vec!["Stars as above, by p of exchanges of pairs.".to_owned()],
        }
    }
}

/// A quantity of the sweep; `None` without cells, and where the cells do not have it.
fn sweep(sweep: &[SweepCell], quantity: Quantity) -> Option<Section> {
    let first = sweep.first()?;
    quantity.text(first)?;
    Some(Section {
        heading: format!(
            "Sweep of the gradient rule: {} over {} pairs, {}sampler `{}`",
            quantity.heading(),
            number::count(first.n),
            draws(first),
            first.sampler
        ),
        grid: sweep_grid(sweep, quantity),
        remarks: quantity.remarks(first),
    })
}

/// A row a strength, a column a percentile, both in the order of the cells.
fn sweep_grid(sweep: &[SweepCell], quantity: Quantity) -> Grid {
    let mut percentiles: Vec<f64> = Vec::new();
    let mut lambdas: Vec<f64> = Vec::new();
    for cell in sweep {
        if !percentiles.contains(&cell.percentile) {
            percentiles.push(cell.percentile);
        }
        if !lambdas.contains(&cell.lambda) {
            lambdas.push(cell.lambda);
        }
    }
    let heads: Vec<String> = percentiles.iter().map(|p| format!("percentile {p}")).collect();
    let mut columns = vec![("λ", Align::Right)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let mut grid = Grid::with_columns(&columns);
    for lambda in lambdas {
        let mut cells = vec![Cell::new(number::exact(lambda).unwrap_or_default())];
        for percentile in &percentiles {
            let cell = sweep.iter().find(|c| c.lambda == lambda && c.percentile == *percentile);
            let text = cell.and_then(|cell| quantity.text(cell));
            cells.push(Cell::new(text.unwrap_or_default()));
        }
        grid.push(cells, false);
    }
    grid
}

/// `M = 5, ` where the rule draws.
fn draws(cell: &SweepCell) -> String {
    cell.n_draws.map_or(String::new(), |n_draws| format!("M = {n_draws}, "))
}
