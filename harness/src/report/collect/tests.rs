//! Two results in one table.

use std::path::Path;

use super::*;
use crate::exit::{Exit, Exits};
use crate::protocol::filtering::example;
use crate::store::envelope::Provenance;
use crate::store::metrics;
use crate::store::records::MetricRow;

fn results(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (name, scale) in [("a", "mini"), ("b", "smoke")] {
        let rows: Vec<MetricRow> = example::rows()
            .into_iter()
            .map(|row| MetricRow { scale: scale.to_owned(), ..row })
            .collect();
        let file = folder.join(name).join("metrics.parquet");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        metrics::write(&file, &rows, "plan", &Provenance::new("closed form", "cpu")).unwrap();
        files.push(file);
    }
    files
}

fn condition(column: &str, text: &str) -> Condition {
    (column.to_owned(), text.to_owned())
}

#[test]
fn the_same_number_of_two_results_stands_together() {
    let folder = tempfile::tempdir().unwrap();
    let files = results(folder.path());
    let wanted = [condition("metric", "fid"), condition("method", "random")];
    let found = collect(&files, &wanted).unwrap();
    let expected: Vec<MetricRow> = example::rows()
        .into_iter()
        .filter(|row| row.metric == "fid" && row.method == "random")
        .collect();
    assert_eq!(found.len(), 2 * expected.len());
    let json = found.json();
    assert_eq!(
        (json[0]["scale"].as_str(), json[1]["scale"].as_str()),
        (Some("mini"), Some("smoke"))
    );
    assert_eq!(json[1]["value"].as_f64(), expected[0].value);
    let page = found.document();
    assert!(page.lead[1].contains("metric `fid`"), "{:?}", page.lead);
    let heads: Vec<&str> =
        page.sections[0].grid.columns.iter().map(|c| c.heading.as_str()).collect();
    assert_eq!(heads[..2], ["result", "scale"]);
}

#[test]
fn every_row_of_every_file_is_there_without_conditions() {
    let folder = tempfile::tempdir().unwrap();
    let all = collect(&results(folder.path()), &[]).unwrap();
    assert_eq!(all.len(), 2 * example::rows().len());
    assert!(collect(&results(folder.path()), &[condition("scale", "paper")]).unwrap().is_empty());
    let none = collect(&results(folder.path()), &[condition("argument", "")]).unwrap();
    let expected = example::rows().iter().filter(|row| row.argument.is_none()).count();
    assert_eq!(none.len(), 2 * expected);
}

#[test]
fn a_wrong_column_and_a_damaged_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = results(folder.path());
    let error = collect(&files, &[condition("metrics", "fid")]).unwrap_err().to_string();
    assert!(error.contains("column \"metrics\"") && error.contains("argument"), "{error}");
    let mut bytes = std::fs::read(&files[1]).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    crate::store::publish(&files[1], &bytes).unwrap();
    let error = collect(&files, &[]).unwrap_err();
    assert_eq!(error.exit(), Exit::Integrity);
    let error = error.to_string();
    assert!(error.contains(&files[1].display().to_string()), "{error}");
}
