//! The layout of Table 3: one row a rule and sampler, differences paired over the same starts.

use super::document::{Align, Cell, Document, Grid, Section};
use super::filter_table::{Setting, estimate};
use super::guidance_input::GuidanceInput;
use super::{ReportError, label, metric, number, published, table};
use crate::config::published::PublishedTable;
use crate::protocol::guidance::DISPLACEMENT;
use crate::store::records::MetricRow;

const NOTE_DELTA: &str = "Δ is FID minus that of the unguided images of the same starts and sampler, ± its standard error \
     by the influence of each pair; p is two-sided, by the normal law. * p < 0.05, ** p < 0.01, *** p < 0.001; n.s.: \
     inside the noise. Not corrected for the number of rows.";
const NOTE_NFE: &str = "NFE: evaluations per image of the trajectory + those of the rule + its reverse passes. Moved: sum \
     over guided steps and elements of the squared change of the prediction, mean over images ± SE.";
const NOTE_SMALL: &str = "FID over fewer images than features is biased upwards, equally for both images of a pair: read \
     Δ, and compare FID within one n only. The standard errors are upper bounds there.";

/// All tables of a result.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub(super) fn document(
    input: &GuidanceInput,
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    if input.rows.is_empty() {
        return Err(ReportError::Empty {
            experiment: input.experiment.clone(),
            artefact: input.artefact.clone(),
        });
    }
    table::refuse_duplicates(&input.rows)?;
    let settings = Setting::all(&input.rows);
    let mut sections: Vec<Section> =
        settings.iter().map(|setting| rules(setting, &input.rows)).collect();
    if let Some(first) = sections.first_mut() {
        first.remarks.extend([NOTE_DELTA, NOTE_NFE, NOTE_SMALL].map(str::to_owned));
        first.remarks.extend(input.remarks.iter().cloned());
    }
    sections.extend(sweep(input));
    if let Some(table) = published {
        sections.push(published::section(table, &input.rows));
    }
    Ok(Document {
        title: format!("{}, scale {}", input.experiment, input.scale),
        lead: vec![input.question.clone()],
        sections,
    })
}

fn rules(setting: &Setting, rows: &[MetricRow]) -> Section {
    let here: Vec<&MetricRow> = rows.iter().filter(|row| Setting::of(row) == *setting).collect();
    let mut grid = Grid::with_columns(&[
        ("Rule", Align::Left),
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
        let at = |name: &str| {
            here.iter().copied().find(|row| row.method == fid.method && row.metric == name)
        };
        let cells =
            line(fid, [at("delta_unguided"), at(metric::P_VALUE), at(DISPLACEMENT)], &mut grid);
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
    let signed = delta.and_then(|row| number::signed_with_error(row.value?, row.se));
    let p = p.and_then(|row| row.value);
    let word = delta.and_then(|row| row.verdict.as_deref()).unwrap_or("");
    let stars = p.map_or("", number::stars);
    let verdict = if word == "n.s." || stars.is_empty() {
        word.to_owned()
    } else {
        format!("{word} {stars}")
    };
    let moved = moved.filter(|row| row.value != Some(0.0));
    vec![
        Cell::new(label::method(&fid.method)),
        estimate(Some(fid), grid),
        Cell::new(signed.unwrap_or_default()),
        Cell::new(p.and_then(number::p_value).unwrap_or_default()),
        Cell::new(verdict),
        estimate(moved, grid),
        Cell::new(fid.n.map(number::count).unwrap_or_default()),
        Cell::new(super::filter_table::nfe(fid)),
        Cell::new(fid.seconds.and_then(|s| number::significant(s, 3)).unwrap_or_default()),
        Cell::new(fid.paper_value.and_then(number::exact).unwrap_or_default()),
    ]
}

/// The sweep as a table: a row a strength, a column a percentile.
fn sweep(input: &GuidanceInput) -> Option<Section> {
    let first = input.cells.first()?;
    let mut percentiles: Vec<f64> = Vec::new();
    let mut lambdas: Vec<f64> = Vec::new();
    for cell in &input.cells {
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
            let cell =
                input.cells.iter().find(|c| c.lambda == lambda && c.percentile == *percentile);
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
