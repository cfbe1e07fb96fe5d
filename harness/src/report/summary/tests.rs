//! Constructed results with known answers, and the shipped ones.

use std::path::Path;

use super::*;
use crate::config::published::claims::Expected;
use crate::exit::{Exit, Exits};
use crate::protocol::filtering::example;
use crate::store::envelope::Provenance;
use crate::store::metrics;
use crate::store::records::MetricRow;

/// A `delta` against random subsets, with its adjusted p.
fn delta(method: &str, value: f64, p: f64, at_floor: bool) -> [MetricRow; 2] {
    let found = example::rows().into_iter().find(|row| row.metric == "delta").unwrap();
    let delta = MetricRow {
        method: method.to_owned(),
        kind: method.to_owned(),
        argument: Some("random".to_owned()),
        side: Some("lowest".to_owned()),
        value: Some(value),
        se: Some(0.1),
        ..found
    };
    let ci_low = at_floor.then_some(0.0);
    let p = MetricRow {
        metric: "p_holm".to_owned(),
        value: Some(p),
        se: None,
        ci_low,
        verdict: None,
        ..delta.clone()
    };
    [delta, p]
}

/// `RESULTS/table1-cifar10/mini` with these rows.
fn result(folder: &Path, rows: &[MetricRow]) -> ResultFolder {
    let place = folder.join("table1-cifar10/mini/metrics.parquet");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    metrics::write(&place, rows, "plan", &Provenance::new("closed form", "cpu")).unwrap();
    ResultFolder { name: "table1-cifar10".to_owned(), metrics: place, ..Default::default() }
}

/// Claims that `method` lowers FID, one a method.
fn claims(methods: &[&str]) -> Claims {
    let mut text = "paper: p\nclaims:\n".to_owned();
    for method in methods {
        text.push_str(&format!(
            "  - id: {method}\n    group: g\n    source: s\n    says: t.\n    answers:\n      \
             - experiment: table1-cifar10\n        where: {{method: {method}, metric: delta, side: lowest}}\n        \
             measured: FID minus FID\n        expected: {{kind: below, than: 0}}\n"
        ));
    }
    written(&text)
}

fn written(text: &str) -> Claims {
    let file = tempfile::NamedTempFile::new().unwrap();
    crate::store::publish(file.path(), text.as_bytes()).unwrap();
    Claims::read(file.path()).unwrap()
}

#[test]
fn constructed_numbers_have_the_verdicts_that_they_were_made_for() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("better", -1.0, 0.01, false, Verdict::Holds),
        ("opposite", 1.0, 0.01, false, Verdict::DoesNotHold),
        ("noise", -1.0, 0.3, false, Verdict::WithinNoise),
        ("floor", -1.0, 0.0498, true, Verdict::Holds),
        ("blunt", -1.0, 0.0995, true, Verdict::NotTestable),
    ];
    let mut rows: Vec<MetricRow> = cases
        .iter()
        .flat_map(|(name, value, p, floor, _)| delta(name, *value, *p, *floor))
        .collect();
    let [mut lost, _] = delta("lost", 0.0, 0.5, false);
    (lost.value, lost.reason) = (None, Some("dropout was switched off".to_owned()));
    rows.push(lost);
    // Another scale is another result.
    rows.extend(
        delta("absent", -1.0, 0.01, false).map(|row| MetricRow { scale: "smoke".into(), ..row }),
    );
    let results = vec![result(folder.path(), &rows)];
    let names = ["better", "opposite", "noise", "floor", "blunt", "lost", "absent"];
    let summary = summarise(&claims(&names), "mini", results).unwrap();
    for (line, (name, .., verdict)) in summary.lines.iter().zip(cases) {
        assert_eq!((line.id.as_str(), line.verdict), (name, verdict));
    }
    let [.., lost, absent] = summary.lines.as_slice() else { panic!("two lines more") };
    assert_eq!(
        (lost.verdict, lost.why.as_slice()),
        (Verdict::NotTestable, &["dropout was switched off".to_owned()][..])
    );
    assert_eq!(absent.verdict, Verdict::NotTestable);
    assert!(
        absent.why[0].contains("`table1-cifar10` has no row of method `absent`"),
        "{:?}",
        absent.why
    );
    insta::assert_snapshot!(summary.counts(), @"holds: 2, does not hold: 1, within noise: 1, not testable here: 3");
    insta::assert_snapshot!(summary.lines[3].p(), @"≤ 0.0498");
    insta::assert_snapshot!(summary.lines[0].value(), @"−1.00 ± 0.10");
}

#[test]
fn an_experiment_without_a_result_is_not_run_and_one_that_needs_more_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let results = vec![result(folder.path(), &delta("a", -3.0, 0.01, false))];
    let mut claims = claims(&["a", "b"]);
    for claim in &mut claims.claims {
        claim.answers[0].experiment = "elsewhere".to_owned();
        claim.obstacle = Some("needs a cluster".to_owned());
    }
    claims.claims[1].answers[0].ships = false;
    let summary = summarise(&claims, "mini", results).unwrap();
    let verdicts: Vec<Verdict> = summary.lines.iter().map(|line| line.verdict).collect();
    assert_eq!(verdicts, [Verdict::NotRun, Verdict::NotTestable]);
    assert_eq!(summary.lines[1].why, ["needs a cluster"]);
}

#[test]
fn an_answer_of_several_rows_and_a_wrong_column_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = delta("a", -3.0, 0.01, false).to_vec();
    rows.push(MetricRow { arm: "second".to_owned(), ..rows[0].clone() });
    let results = || vec![result(folder.path(), &rows)];
    let error = summarise(&claims(&["a"]), "mini", results()).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    insta::assert_snapshot!(error, @"claim a: got 2 rows of table1-cifar10 for method `a`, metric `delta`, side `lowest`, expected one; they differ in arm: name more columns under `where`");
    let mut wrong = claims(&["a"]);
    wrong.claims[0].answers[0].row.insert("methods".to_owned(), "a".to_owned());
    assert!(matches!(summarise(&wrong, "mini", results()), Err(ReportError::Column { .. })));
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let result = result(folder.path(), &delta("a", -3.0, 0.01, false));
    let mut bytes = std::fs::read(&result.metrics).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    crate::store::publish(&result.metrics, &bytes).unwrap();
    let path = result.metrics.display().to_string();
    let error = summarise(&claims(&["a"]), "mini", vec![result]).unwrap_err();
    assert_eq!(error.exit(), Exit::Integrity);
    assert!(error.to_string().contains(&path), "{error}");
}

#[test]
fn the_page_names_its_results_from_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut result = result(folder.path(), &delta("a", -3.0, 0.01, false));
    result.files = ["p.svg", "x-image.png", "x-map.png"].map(str::to_owned).to_vec();
    result.revision = Some("abc".to_owned());
    result.has_table = true;
    let summary = summarise(&claims(&["a"]), "mini", vec![result]).unwrap();
    let texts: Vec<String> = summary
        .files("../r/")
        .into_iter()
        .map(|file| String::from_utf8(file.bytes).unwrap())
        .collect();
    assert!(
        texts[0].contains("- [table1-cifar10](../r/table1-cifar10/mini/table.md), revision `abc`")
    );
    for part in [
        "src=\"../r/table1-cifar10/mini/plots/p.svg\"",
        "class=\"map\" src=\"../r/table1-cifar10/mini/plots/x-map.png\"",
        "<td class=\"verdict holds\">holds</td>",
        "data-sort=\"-3e0\"",
    ] {
        assert!(texts[1].contains(part), "{part}");
    }
    // One file: nothing is fetched but the pictures of the results.
    assert!(!texts[1].contains("http") && !texts[1].contains("<link"));
}

/// The shipped results of a scale.
fn shipped() -> (Claims, Vec<ResultFolder>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let claims = Claims::read(&root.join("experiments/published/claims.yaml")).unwrap();
    let mut results = Vec::new();
    for entry in std::fs::read_dir(root.join("results")).unwrap() {
        let metrics = entry.unwrap().path().join("mini/metrics.parquet");
        if metrics.is_file() {
            let name = metrics.ancestors().nth(2).unwrap().file_name().unwrap();
            let name = name.to_string_lossy().into_owned();
            results.push(ResultFolder { name, metrics, ..Default::default() });
        }
    }
    (claims, results)
}

#[test]
fn every_claim_of_an_experiment_that_has_run_finds_its_row() {
    let (claims, results) = shipped();
    let summary = summarise(&claims, "mini", results).unwrap();
    for line in &summary.lines {
        let lost = line.why.iter().any(|why| why.contains("has no row of"));
        assert!(!lost, "claims.yaml: {}: {:?}: correct `where`", line.id, line.why);
    }
    assert!(summary.lines.iter().filter(|line| line.verdict.is_tested()).count() >= 20);
}

#[test]
fn verdicts_on_shipped_differences_are_those_of_their_own_tables() {
    let (claims, results) = shipped();
    let rows: Vec<MetricRow> =
        results.iter().flat_map(|result| metrics::read(&result.metrics).unwrap()).collect();
    let mut n = 0;
    for claim in &claims.claims {
        for answer in &claim.answers {
            let says = |row: &&MetricRow| {
                row.experiment == answer.experiment
                    && row.metric == "delta"
                    && answer.row.iter().all(|(column, text)| {
                        let own = match column.as_str() {
                            "arm" => &row.arm,
                            "sampler" => &row.sampler,
                            "method" => &row.method,
                            "metric" => &row.metric,
                            "argument" => row.argument.as_ref().unwrap(),
                            _ => row.side.as_ref().unwrap(),
                        };
                        own == text
                    })
            };
            let Some(row) = rows.iter().find(says) else { continue };
            let (_, results) = shipped();
            let one = Claims { claims: vec![claim.clone()], ..claims.clone() };
            let lines = summarise(&one, "mini", results).unwrap().lines;
            let line = lines.iter().find(|line| line.measured.is_some()).unwrap();
            // Lower is better, whatever a claim expects of the difference.
            let above = matches!(answer.expected, Expected::Above { .. });
            let word = match line.verdict {
                Verdict::Holds if above => "worse",
                Verdict::DoesNotHold if above => "better",
                Verdict::Holds => "better",
                Verdict::DoesNotHold => "worse",
                _ => "n.s.",
            };
            assert_eq!(row.verdict.as_deref(), Some(word), "{}", claim.id);
            n += 1;
        }
    }
    assert!(n >= 8, "{n} differences");
}
