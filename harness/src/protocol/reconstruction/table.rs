//! The layout of Table 2: one row a method and polarity, one table an arm, and the released evaluation taken apart.

use super::RECONSTRUCTION;
use super::audit::Rung;
use crate::config::published::PublishedTable;
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::{Head, Labels, ReportError, Setting, cells, label, number, page};
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
    head: Head<'_>,
    rows: &[MetricRow],
    remarks: &[String],
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    let (settings, labels) = (Setting::all(rows, Setting::of_arm), Labels::of(rows));
    let mut sections: Vec<Section> =
        settings.iter().map(|setting| arm(setting, rows, &labels)).collect();
    if let Some(first) = sections.first_mut() {
        let notes = [NOTE_AREAS, NOTE_READ, NOTE_PLACES, NOTE_VERDICT];
        first.remarks.extend(notes.map(str::to_owned));
    }
    let first = settings.first();
    sections.extend(first.and_then(|setting| gains(setting, rows, &labels)));
    sections.extend(settings.iter().filter_map(|setting| audit(setting, rows, &labels)));
    page::document(head, rows, (sections, remarks), published)
}

/// The row of a metric, what it is of, and a side.
fn find<'a>(
    rows: &[&'a MetricRow],
    method: &str,
    (metric, argument): (&str, Option<&str>),
    side: Option<&str>,
) -> Option<&'a MetricRow> {
    rows.iter().copied().find(|row| {
        row.method == method
            && row.metric == metric
            && row.argument.as_deref() == argument
            && row.side.as_deref() == side
    })
}

fn words(setting: &Setting) -> String {
    format!("arm `{}`, sampler `{}`", setting.arm.as_deref().unwrap_or(""), setting.sampler)
}

fn arm(setting: &Setting, rows: &[MetricRow], labels: &Labels) -> Section {
    let here: Vec<&MetricRow> = rows.iter().filter(|row| setting.holds(row)).collect();
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
    let lines = here.iter().filter(|row| row.metric == "aurg" && row.argument.is_none());
    let mut group = label::Group::Estimator;
    for row in lines {
        let next = labels.group(&row.method);
        let cells = line((&here, labels), row, &mut grid);
        grid.push(cells, next != group);
        group = next;
    }
    let no_late = !here.iter().any(|row| row.argument.as_deref() == Some("late"));
    Section {
        heading: format!(
            "Measured: `{}` on {}, {}",
            setting.model,
            setting.dataset,
            words(setting)
        ),
        grid: grid.without_empty_columns(),
        remarks: std::iter::once(error_words(&here))
            .chain(no_late.then(|| "No executed step lies in the late window.".to_owned()))
            .collect(),
    }
}

fn error_words(here: &[&MetricRow]) -> String {
    let rmse = find(here, RECONSTRUCTION, ("rmse", None), None);
    let pooled = find(here, RECONSTRUCTION, ("rmse", Some("pooled")), None);
    let text = |row: Option<&MetricRow>| {
        row.and_then(|row| number::with_error(row.value?, row.se)).unwrap_or_default()
    };
    let n = rmse.and_then(|row| row.n).map(number::count).unwrap_or_default();
    format!(
        "Reconstruction error: RMSE {} grey levels per image (mean ± SE over {n} images), {} pooled.",
        text(rmse),
        text(pooled),
    )
}

fn line((here, labels): (&[&MetricRow], &Labels), aurg: &MetricRow, grid: &mut Grid) -> Vec<Cell> {
    let side = aurg.side.as_deref();
    let at = |metric: &str, of: Option<&str>| find(here, &aurg.method, (metric, of), side);
    let ause = at("ause", None);
    vec![
        Cell::new(labels.method(&aurg.method)),
        Cell::new(label::kept(side)),
        cells::estimate(ause, grid),
        cells::estimate(Some(aurg), grid),
        Cell::new(aurg.verdict.as_deref().unwrap_or("")),
        cells::estimate(at("ause", Some("late")), grid),
        cells::estimate(at("aurg", Some("late")), grid),
        cells::estimate(at("aurg", Some("pooled")), grid),
        cells::estimate(at("aurg", Some("pixel")), grid),
        cells::count(Some(aurg)),
        cells::nfe(Some(aurg)),
        cells::seconds(Some(aurg)),
        cells::paper(ause),
        cells::paper(Some(aurg)),
    ]
}

fn gains(setting: &Setting, rows: &[MetricRow], labels: &Labels) -> Option<Section> {
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("Read", Align::Left),
        ("Against (as is)", Align::Left),
        ("Difference of AURG ± SE", Align::Right),
        ("Verdict", Align::Left),
        ("n", Align::Right),
    ]);
    for row in rows.iter().filter(|row| setting.holds(row) && row.metric == "aurg_gain") {
        let cells = vec![
            Cell::new(labels.method(&row.method)),
            Cell::new(label::kept(row.side.as_deref())),
            Cell::new(labels.method(row.argument.as_deref().unwrap_or(""))),
            cells::difference(Some(row), &mut grid),
            Cell::new(row.verdict.as_deref().unwrap_or("")),
            cells::count(Some(row)),
        ];
        grid.push(cells, false);
    }
    (!grid.rows.is_empty()).then(|| Section {
        heading: format!("Paired differences over images, {}", words(setting)),
        grid,
        remarks: vec![
            "Image by image, so what makes an image hard cancels. An estimator that does not beat a control that costs \
             nothing has learnt nothing."
                .to_owned(),
        ],
    })
}

fn audit(setting: &Setting, rows: &[MetricRow], labels: &Labels) -> Option<Section> {
    let audited = |row: &&MetricRow| row.argument.as_deref() == Some("audit");
    let here: Vec<&MetricRow> =
        rows.iter().filter(|row| setting.holds(row)).filter(audited).collect();
    let mut methods: Vec<&str> = Vec::new();
    for row in here.iter().filter(|row| row.metric == "ause") {
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
            let at = |metric| find(&here, method, (metric, Some("audit")), Some(rung.as_str()));
            let cells = vec![
                Cell::new(labels.method(method)),
                Cell::new(rung.describe()),
                cells::estimate(at("ause"), &mut grid),
                cells::estimate(at("aurg"), &mut grid),
                cells::estimate(at("rmse"), &mut grid),
                cells::count(at("ause")),
            ];
            grid.push(cells, rung == Rung::Released);
        }
    }
    Some(Section {
        heading: format!("Audit: the released evaluation taken apart, {}", words(setting)),
        grid,
        remarks: vec![NOTE_AUDIT.to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{latex, markdown};

    fn row(method: &str, metric: &str, side: Option<&str>, value: f64) -> MetricRow {
        let mut row = crate::protocol::filtering::example::rows().remove(0);
        row.method = method.to_owned();
        row.kind = method.to_owned();
        row.metric = metric.to_owned();
        row.side = side.map(str::to_owned);
        row.value = Some(value);
        row.se = Some(0.1);
        row.verdict = None;
        row
    }

    fn rows() -> Vec<MetricRow> {
        let mut rows = vec![
            row("reconstruction", "rmse", None, 20.0),
            row("sample_var", "ause", Some("as_is"), 9.0),
            row("sample_var", "aurg", Some("as_is"), -1.25),
            row("sample_var", "aurg_gain", Some("as_is"), -2.5).of("local_variance"),
            row("local_variance", "aurg", Some("as_is"), 1.25),
        ];
        for rung in Rung::ALL {
            rows.push(row("sample_var", "ause", Some(rung.as_str()), 0.5).of("audit"));
            rows.push(row("sample_var", "aurg", Some(rung.as_str()), 17.5).of("audit"));
        }
        rows
    }

    fn page(rows: &[MetricRow]) -> Result<Document, ReportError> {
        document(crate::protocol::filtering::example::HEAD, rows, &["a remark".to_owned()], None)
    }

    #[test]
    fn every_arm_gain_and_rung_is_in_the_table() {
        let document = page(&rows()).unwrap();
        let text = markdown::write(&document);
        for part in ["−1.25 ± 0.10", "−2.50 ± 0.10", "one scale, no zero rows", "a remark", "20.00"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(latex::write(&document).contains("Local variance"));
    }

    #[test]
    fn no_rows_and_two_rows_of_one_cell_are_refused() {
        let empty: Vec<MetricRow> = Vec::new();
        assert!(matches!(page(&empty), Err(ReportError::Empty { .. })));
        let mut twice = rows();
        twice.push(twice[1].clone());
        assert!(matches!(page(&twice), Err(ReportError::Duplicate { .. })));
    }
}
