//! The layout of Table 2: one row a method and polarity, one table an arm, and the released evaluation taken apart.

use super::document::{Align, Cell, Document, Grid, Section};
use super::filter_table::{Setting, estimate};
use super::reconstruction_input::ReconstructionInput;
use super::{ReportError, label, number, published, table};
use crate::config::published::PublishedTable;
use crate::protocol::reconstruction::RANDOM;
use crate::protocol::sparsification_audit::Rung;
use crate::store::records::MetricRow;

const NOTE_AREAS: &str = "AUSE: area between the curve of a method and that of the oracle, lower is better. AURG: area \
     between chance and the method, higher is better; 0 is chance. Both in grey levels (0..255), per image, exact areas, \
     mean over images ± SE over images. Per image AUSE + AURG depends on the reconstruction alone.";
const NOTE_READ: &str = "Read: as is, high values are removed first; inverted, low values are. For an ideal denoiser the \
     variance of re-noised predictions is high where an image is easy, so the polarity is a question, not a convention.";
const NOTE_PLACES: &str = "Late: maps over the late steps only. Pooled: all elements of all images in one ranking. Pixel: \
     channels put together, root mean square error against summed uncertainty.";
const NOTE_VERDICT: &str = "Verdict: whether AURG differs from chance by its 95 % interval over images. Not corrected for \
     the number of rows. NFE: evaluations per image of the trajectory + those of the method if it ran alone.";
const NOTE_AUDIT: &str = "The same maps and reconstructions under ever less of the released evaluation. As released, the \
     truth is in 0..1 and the reconstruction in 0..255, so the error is the brightness; and eleven images in twelve \
     are zero rows, which have no error and no uncertainty, so removing the real images first looks like skill: any \
     uncertainty, chance included, gets a small AUSE and a large AURG.";

/// All tables of a result.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub(super) fn document(
    input: &ReconstructionInput,
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
        settings.iter().map(|setting| arm(setting, &input.rows)).collect();
    if let Some(first) = sections.first_mut() {
        let notes = [NOTE_AREAS, NOTE_READ, NOTE_PLACES, NOTE_VERDICT];
        first.remarks.extend(notes.map(str::to_owned));
        first.remarks.extend(input.remarks.iter().cloned());
    }
    let first = settings.first();
    sections.extend(first.and_then(|setting| gains(setting, &input.rows)));
    sections.extend(settings.iter().filter_map(|setting| audit(setting, &input.rows)));
    if let Some(table) = published {
        sections.push(published::section(table, &input.rows));
    }
    Ok(Document {
        title: format!("{}, scale {}", input.experiment, input.scale),
        lead: vec![input.question.clone()],
        sections,
    })
}

fn of<'a>(setting: &'a Setting, rows: &'a [MetricRow]) -> impl Iterator<Item = &'a MetricRow> {
    rows.iter().filter(move |row| Setting::of(row) == *setting)
}

fn find<'a>(
    rows: &[&'a MetricRow],
    method: &str,
    metric: &str,
    direction: Option<&str>,
) -> Option<&'a MetricRow> {
    rows.iter().copied().find(|row| {
        row.method == method && row.metric == metric && row.direction.as_deref() == direction
    })
}

/// Name of a method. Chance is no subset here, but noise in the place of an uncertainty.
pub(super) fn method(name: &str) -> &str {
    if name == RANDOM { "Chance" } else { label::method(name) }
}

/// How a map is read, in words.
fn read(direction: Option<&str>) -> &str {
    match direction {
        Some("as_is") => "as is",
        Some(other) => other,
        None => "",
    }
}

fn arm(setting: &Setting, rows: &[MetricRow]) -> Section {
    let here: Vec<&MetricRow> = of(setting, rows).collect();
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("Read", Align::Left),
        ("AUSE ± SE", Align::Right),
        ("AURG ± SE", Align::Right),
        ("Verdict", Align::Left),
        ("AUSE late", Align::Right),
        ("AURG late", Align::Right),
        ("AURG pooled", Align::Right),
        ("AURG pixel", Align::Right),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Seconds", Align::Right),
        ("Paper AUSE", Align::Right),
        ("Paper AURG", Align::Right),
    ]);
    let lines = here.iter().filter(|row| row.metric == "aurg");
    let mut group = label::Group::Estimator;
    for row in lines {
        let next = label::group(&row.method);
        let cells = line(&here, row, &mut grid);
        grid.push(cells, next != group);
        group = next;
    }
    let no_late = !here.iter().any(|row| row.metric == "aurg_late");
    let rmse = find(&here, "reconstruction", "rmse", None);
    let pooled = find(&here, "reconstruction", "rmse_pooled", None);
    let text = |row: Option<&MetricRow>| {
        row.and_then(|row| number::with_error(row.value?, row.se)).unwrap_or_default()
    };
    let n = rmse.and_then(|row| row.n).map(number::count).unwrap_or_default();
    Section {
        heading: format!(
            "Measured: `{}` on {}, `{}`",
            setting.model, setting.dataset, setting.sampler
        ),
        grid: grid.without_empty_columns(),
        remarks: std::iter::once(format!(
            "Reconstruction error: RMSE {} grey levels per image (mean ± SE over {n} images), {} pooled.",
            text(rmse),
            text(pooled),
        ))
        .chain(no_late.then(|| "No executed step lies in the late window.".to_owned()))
        .collect(),
    }
}

fn line(here: &[&MetricRow], aurg: &MetricRow, grid: &mut Grid) -> Vec<Cell> {
    let direction = aurg.direction.as_deref();
    let at = |metric: &str| find(here, &aurg.method, metric, direction);
    let ause = at("ause");
    let nfe = match (aurg.nfe_trajectory, aurg.nfe_estimator) {
        (Some(walk), Some(0)) => walk.to_string(),
        (Some(walk), Some(more)) => format!("{walk} + {more}"),
        _ => String::new(),
    };
    let paper = |row: Option<&MetricRow>| {
        Cell::new(row.and_then(|row| row.paper_value).and_then(number::exact).unwrap_or_default())
    };
    let seconds = aurg.seconds.and_then(|seconds| number::significant(seconds, 3));
    vec![
        Cell::new(method(&aurg.method)),
        Cell::new(read(direction)),
        estimate(ause, grid),
        estimate(Some(aurg), grid),
        Cell::new(aurg.verdict.as_deref().unwrap_or("")),
        estimate(at("ause_late"), grid),
        estimate(at("aurg_late"), grid),
        estimate(at("aurg_pooled"), grid),
        estimate(at("aurg_pixel"), grid),
        Cell::new(aurg.n.map(number::count).unwrap_or_default()),
        Cell::new(nfe),
        Cell::new(seconds.unwrap_or_default()),
        paper(ause),
        paper(Some(aurg)),
    ]
}

/// Name of the other method of a paired difference.
fn gain_over(metric: &str) -> Option<&str> {
    metric.strip_prefix("aurg_gain(")?.strip_suffix(')')
}

fn gains(setting: &Setting, rows: &[MetricRow]) -> Option<Section> {
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("Read", Align::Left),
        ("Against (as is)", Align::Left),
        ("Difference of AURG ± SE", Align::Right),
        ("Verdict", Align::Left),
        ("n", Align::Right),
    ]);
    for row in of(setting, rows) {
        let Some(other) = gain_over(&row.metric) else { continue };
        let value = row.value.and_then(|value| number::signed_with_error(value, row.se));
        let cells = vec![
            Cell::new(method(&row.method)),
            Cell::new(read(row.direction.as_deref())),
            Cell::new(method(other)),
            Cell::new(value.unwrap_or_default()),
            Cell::new(row.verdict.as_deref().unwrap_or("")),
            Cell::new(row.n.map(number::count).unwrap_or_default()),
        ];
        grid.push(cells, false);
    }
    (!grid.rows.is_empty()).then(|| Section {
        heading: format!("Paired differences over images, `{}`", setting.sampler),
        grid,
        remarks: vec![
            "Image by image, so what makes an image hard cancels. An estimator that does not beat a control that costs \
             nothing has learnt nothing."
                .to_owned(),
        ],
    })
}

fn audit(setting: &Setting, rows: &[MetricRow]) -> Option<Section> {
    let here: Vec<&MetricRow> = of(setting, rows).collect();
    let mut methods: Vec<&str> = Vec::new();
    for row in here.iter().filter(|row| row.metric == "audit_ause") {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    if methods.is_empty() {
        return None;
    }
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("Evaluation", Align::Left),
        ("AUSE ± SE", Align::Right),
        ("AURG ± SE", Align::Right),
        ("RMSE", Align::Right),
        ("n", Align::Right),
    ]);
    for method in methods {
        for rung in Rung::ALL {
            let at = |metric| find(&here, method, metric, Some(rung.as_str()));
            let n = at("audit_ause").and_then(|row| row.n).map(number::count);
            let cells = vec![
                Cell::new(self::method(method)),
                Cell::new(rung.describe()),
                estimate(at("audit_ause"), &mut grid),
                estimate(at("audit_aurg"), &mut grid),
                estimate(at("audit_rmse"), &mut grid),
                Cell::new(n.unwrap_or_default()),
            ];
            grid.push(cells, rung == Rung::Released);
        }
    }
    Some(Section {
        heading: format!("Audit: the released evaluation taken apart, `{}`", setting.sampler),
        grid,
        remarks: vec![NOTE_AUDIT.to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{latex, markdown};

    fn row(method: &str, metric: &str, direction: Option<&str>, value: f64) -> MetricRow {
        let mut row = crate::report::example::rows().remove(0);
        row.method = method.to_owned();
        row.metric = metric.to_owned();
        row.direction = direction.map(str::to_owned);
        row.value = Some(value);
        row.se = Some(0.1);
        row.verdict = None;
        row
    }

    fn input() -> ReconstructionInput {
        let mut rows = vec![
            row("reconstruction", "rmse", None, 20.0),
            row("sample_var", "ause", Some("as_is"), 9.0),
            row("sample_var", "aurg", Some("as_is"), -1.25),
            row("sample_var", "aurg_gain(local_variance)", Some("as_is"), -2.5),
            row("local_variance", "aurg", Some("as_is"), 1.25),
        ];
        for rung in Rung::ALL {
            rows.push(row("sample_var", "audit_ause", Some(rung.as_str()), 0.5));
            rows.push(row("sample_var", "audit_aurg", Some(rung.as_str()), 17.5));
        }
        ReconstructionInput {
            experiment: "table2".into(),
            question: "Does it?".into(),
            artefact: "table2".into(),
            scale: "smoke".into(),
            rows,
            curves: Vec::new(),
            panels: Vec::new(),
            remarks: vec!["a remark".into()],
        }
    }

    #[test]
    fn every_arm_gain_and_rung_is_in_the_table() {
        let document = document(&input(), None).unwrap();
        let text = markdown::write(&document);
        for part in ["−1.25 ± 0.10", "−2.50 ± 0.10", "one scale, no zero rows", "a remark", "20.00"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(latex::write(&document).contains("Local variance"));
    }

    #[test]
    fn no_rows_and_two_rows_of_one_cell_are_refused() {
        let mut empty = input();
        empty.rows.clear();
        assert!(matches!(document(&empty, None), Err(ReportError::Empty { .. })));
        let mut twice = input();
        twice.rows.push(twice.rows[1].clone());
        assert!(matches!(document(&twice, None), Err(ReportError::Duplicate { .. })));
    }
}
