//! The layout of Table 3: one row an arm, differences paired over the same starts.

use super::input::Cell as SweepCell;
use crate::config::published::PublishedTable;
use crate::guidance::DISPLACEMENT;
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::{Head, ReportError, Setting, cells, label, metric, number, page};
use crate::store::records::MetricRow;

const NOTE_DELTA: &str = "Δ is FID minus that of the unguided images of the same starts and sampler, ± its standard error \
     by the influence of each pair; p is two-sided, by the normal law. * p < 0.05, ** p < 0.01, *** p < 0.001; n.s.: \
     inside the noise. Not corrected for the number of rows.";
const NOTE_NFE: &str = "NFE: evaluations per image of the trajectory + those of the rule + its reverse passes. Moved: sum \
     over guided steps and elements of the squared change of the prediction, mean over images ± SE.";
const NOTE_SMALL: &str = "FID over fewer images than features is biased upwards, equally for both images of a pair: read \
     Δ, and compare FID within one n only. The standard errors are upper bounds there.";

/// All tables of a result; `cells` are those of the sweep, which `rows` leaves out.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub(super) fn document(
    head: Head<'_>,
    (rows, cells): (&[MetricRow], &[SweepCell]),
    remarks: &[String],
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    let settings = Setting::all(rows, Setting::of);
    let mut sections: Vec<Section> = settings.iter().map(|setting| rules(setting, rows)).collect();
    if let Some(first) = sections.first_mut() {
        first.remarks.extend([NOTE_DELTA, NOTE_NFE, NOTE_SMALL].map(str::to_owned));
    }
    sections.extend(sweep(cells));
    page::document(head, rows, (sections, remarks), published)
}

fn rules(setting: &Setting, rows: &[MetricRow]) -> Section {
    let here: Vec<&MetricRow> = rows.iter().filter(|row| setting.holds(row)).collect();
    let mut grid = Grid::with_columns(&[
        ("Arm", Align::Left),
        ("FID ± SE", Align::Right),
        ("Δ unguided ± SE", Align::Right),
        ("p", Align::Right),
        ("Verdict", Align::Left),
        ("Moved ± SE", Align::Right),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Seconds", Align::Right),
        ("Paper", Align::Right),
    ]);
    for fid in here.iter().copied().filter(|row| row.metric == metric::FID) {
        let at =
            |name: &str| here.iter().copied().find(|row| row.arm == fid.arm && row.metric == name);
        let cells =
            line(fid, [at(metric::DELTA), at(metric::P_VALUE), at(DISPLACEMENT)], &mut grid);
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

fn line(fid: &MetricRow, [delta, p, moved]: [Option<&MetricRow>; 3], grid: &mut Grid) -> Vec<Cell> {
    let p = p.and_then(|row| row.value);
    let moved = moved.filter(|row| row.value != Some(0.0));
    vec![
        Cell::new(label::named(&fid.kind, &fid.arm)),
        cells::estimate(Some(fid), grid),
        cells::difference(delta, grid),
        Cell::new(p.and_then(number::p_value).unwrap_or_default()),
        cells::verdict(delta.and_then(|row| row.verdict.as_deref()), p),
        cells::estimate(moved, grid),
        cells::count(Some(fid)),
        cells::nfe(Some(fid)),
        cells::seconds(Some(fid)),
        cells::paper(Some(fid)),
    ]
}

/// The sweep as a table: a row a strength, a column a percentile.
fn sweep(sweep: &[SweepCell]) -> Option<Section> {
    let first = sweep.first()?;
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
            let text = cell.and_then(|cell| {
                let text = number::signed_with_error(cell.delta, Some(cell.se))?;
                Some(format!("{text} {}", number::stars(cell.p)).trim_end().to_owned())
            });
            cells.push(Cell::new(text.unwrap_or_default()));
        }
        grid.push(cells, false);
    }
    Some(Section {
        heading: format!(
            "Sweep of the gradient rule: Δ unguided ± SE over {} pairs, sampler `{}`",
            number::count(first.n),
            first.sampler
        ),
        grid,
        remarks: Vec::new(),
    })
}
