//! The whole report of a made-up result.

use super::report::{pairs, plots};
use super::{example, table};
use crate::config::PublishedTable;
use crate::report::document::Document;
use crate::report::{Artefact, ReportError, compare, latex, markdown};
use crate::store::records::MetricRow;

fn published() -> PublishedTable {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/published/table1.yaml");
    PublishedTable::read(std::path::Path::new(path)).unwrap()
}

fn document(
    rows: &[MetricRow],
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    table::document(example::HEAD, rows, &["Made-up numbers.".to_owned()], published)
}

fn all_plots() -> Vec<Artefact> {
    plots(&example::numbers(), &example::exhibits()).unwrap()
}

#[test]
fn table_as_markdown() {
    let document = document(&example::rows(), Some(&published())).unwrap();
    insta::assert_snapshot!(markdown::write(&document));
}

#[test]
fn table_as_latex() {
    let document = document(&example::rows(), Some(&published())).unwrap();
    insta::assert_snapshot!(latex::write(&document));
}

#[test]
fn comparison_as_markdown() {
    let a = example::rows();
    let mut b = a.clone();
    b[0].value = b[0].value.map(|value| value + 0.2);
    b[4].value = b[4].value.map(|value| value - 3.0);
    b[8].n = Some(1000);
    b.pop();
    let comparison = compare::compare(&a, &b).unwrap();
    let document = comparison.document("results/main", "results/branch");
    insta::assert_snapshot!(markdown::write(&document));
}

#[test]
fn every_plot_comes_as_svg_and_png_and_twice_the_same() {
    let first = all_plots();
    show(&first);
    let names: Vec<&str> = first.iter().map(|artefact| artefact.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "plots/filter-curve.svg",
            "plots/filter-curve.png",
            "plots/score-histograms.svg",
            "plots/score-histograms.png",
            "plots/correlation.svg",
            "plots/correlation.png",
            "plots/certain-and-uncertain.svg",
            "plots/certain-and-uncertain.png",
        ]
    );
    for artefact in &first {
        let start: &[u8] = match artefact.name.rsplit('.').next() {
            Some("svg") => b"<svg width=",
            Some("png") => b"\x89PNG\r\n",
            _ => b"",
        };
        assert!(artefact.bytes.starts_with(start), "{}", artefact.name);
    }
    for artefact in first.iter().filter(|artefact| artefact.name.ends_with("svg")) {
        let text = std::str::from_utf8(&artefact.bytes).unwrap();
        let mut drawn = text.lines().filter(|line| !line.contains("base64"));
        assert!(drawn.all(|line| !line.contains("NaN")), "{}", artefact.name);
    }
    assert_eq!(first, all_plots());
}

/// Leaves the files where `DUBENCH_SHOW` says, for the eye.
#[expect(clippy::disallowed_methods, reason = "files for the eye, not data")]
fn show(artefacts: &[Artefact]) {
    let Some(folder) = std::env::var_os("DUBENCH_SHOW") else { return };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(folder.join("plots")).unwrap();
    for artefact in artefacts {
        std::fs::write(folder.join(&artefact.name), &artefact.bytes).unwrap();
    }
}

#[test]
fn a_value_that_is_no_number_is_a_dash_with_a_reason() {
    let mut rows = example::rows();
    rows[0].value = Some(f64::NAN);
    rows[0].reason = None;
    let document = document(&rows, None).unwrap();
    for text in [markdown::write(&document), latex::write(&document)] {
        assert!(!text.contains("NaN"));
        assert!(text.contains("the value is not a finite number"));
    }
}

#[test]
fn metrics_without_a_column_are_still_printed() {
    let mut rows = example::rows();
    rows[3].metric = "density".to_owned();
    let text = markdown::write(&document(&rows, None).unwrap());
    assert!(text.contains("| `density` |"));
}

#[test]
fn an_empty_result_is_an_error_with_its_remedy() {
    let mut rows = example::rows();
    rows.clear();
    let error = document(&rows, None).unwrap_err();
    assert!(matches!(error, ReportError::Empty { .. }));
    insta::assert_snapshot!(error, @"report of table1-cifar10: no rows of artefact table1: run `dubench evaluate` first");
}

/// Three of six at each end, for methods that have maps, small enough for a page.
#[test]
fn the_first_images_of_each_end_stand_beside_their_maps() {
    let files = pairs(&example::exhibits()).unwrap();
    let with_maps = example::METHODS.iter().filter(|(_, _, nfe)| *nfe > 0).count();
    assert_eq!(files.len(), with_maps * 2 * 3 * 2);
    let of_one: Vec<&str> = files.iter().take(14).map(|file| file.name.as_str()).collect();
    let expected = ["sample_var-most-certain-1-image.png", "sample_var-most-certain-1-map.png"];
    assert_eq!(of_one[..2], expected.map(|name| format!("plots/{name}")));
    assert_eq!(of_one[12], "plots/centered-most-certain-1-image.png");
    for two in files.chunks_exact(2) {
        let [image, map] = [0, 1].map(|at| image::load_from_memory(&two[at].bytes).unwrap());
        assert_eq!((image.width(), map.height()), (32, 32));
        assert!(two[0].bytes.len() + two[1].bytes.len() < 7_000, "{}", two[0].name);
    }
}
