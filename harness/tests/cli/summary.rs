//! `dubench summary`: the page, whether it is up to date, and results that cannot be read.

use crate::support::Folder;

const CLAIMS: &str = "paper: the paper
claims:
  - id: filter
    group: Filtering
    source: Table 1
    says: Discarding uncertain images lowers FID.
    quoted: {kind: words, text: '13.416 against 13.494'}
    answers:
      - experiment: tiny
        where: {method: sample_var, metric: delta, argument: random, side: lowest}
        measured: FID of what is kept, minus that of random subsets
        expected: {kind: below, than: 0}
  - id: later
    group: Filtering
    source: Table 4
    says: Recall rises.
    answers:
      - experiment: not-yet
        where: {metric: recall}
        measured: recall
        expected: {kind: above, than: 0}
  - id: never
    group: Pictures
    source: Fig. 1
    says: Pictures look better.
    obstacle: needs eyes
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.text("claims.yaml", CLAIMS);
    let ended = folder.dubench(&["run", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    folder
}

const CALL: [&str; 5] = ["summary", "--scale", "smoke", "--claims", "claims.yaml"];

#[test]
fn every_claim_has_a_row_and_the_page_knows_when_it_is_old() {
    let folder = folder();
    let check = [&CALL[..], &["--check"]].concat();
    assert_eq!(folder.dubench(&check).code, 6, "there is no page yet");
    let answer = folder.dubench(&[&CALL[..], &["--format", "json"]].concat()).json();
    let of = |at: usize, key: &str| answer["claims"][at][key].clone();
    assert_eq!((of(0, "n"), of(0, "model")), (40.into(), "analytic-gaussian".into()));
    assert!(of(0, "value").is_f64() && of(0, "p_holm").is_f64());
    assert_eq!((of(1, "verdict"), of(2, "verdict")), ("not_run".into(), "not_testable".into()));
    let page = std::fs::read_to_string(folder.path("results/summary-smoke.md")).unwrap();
    assert!(page.contains("[tiny](tiny/smoke/table.md)") && page.contains("needs eyes"), "{page}");
    let html = std::fs::read_to_string(folder.path("results/summary-smoke.html")).unwrap();
    assert!(html.contains("src=\"tiny/smoke/plots/correlation.svg\""), "{html}");
    assert_eq!(folder.dubench(&check).code, 0);
    folder.text("results/summary-smoke.md", &page.replace("needs eyes", "needs nothing"));
    let old = folder.dubench(&check);
    assert_eq!(old.code, 6);
    assert!(
        old.stdout.contains("results/summary-smoke.md: run `dubench summary` again"),
        "{}",
        old.stdout
    );
    // Elsewhere, with links that lead back.
    std::fs::create_dir(folder.path("site")).unwrap();
    assert_eq!(folder.dubench(&[&CALL[..], &["-o", "site"]].concat()).code, 0);
    let page = std::fs::read_to_string(folder.path("site/summary-smoke.md")).unwrap();
    assert!(page.contains("(../results/tiny/smoke/table.md)"), "{page}");
}

#[test]
fn verdicts_of_other_results_stand_beside() {
    let folder = folder();
    let call = [&CALL[..], &["--before", "results"]].concat();
    assert_eq!(folder.dubench(&call).code, 0);
    for name in ["md", "html"] {
        let page =
            std::fs::read_to_string(folder.path(&format!("results/summary-smoke.{name}"))).unwrap();
        assert_eq!(page.matches("What changed since results").count(), 1, "{page}");
        assert!(page.contains("0 of 1 verdicts are others than those of "), "{page}");
    }
    folder.dubench(&[&CALL[..], &["--before", "gone"]].concat()).fails(2, &["--before", "gone"]);
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.dubench(&[&CALL[..], &["--before", "empty"]].concat()).fails(2, &["--before", "empty"]);
}

#[test]
fn what_cannot_be_summed_up_is_named() {
    let folder = folder();
    folder.dubench(&["summary", "nowhere", "--claims", "claims.yaml"]).fails(2, &["nowhere"]);
    // No result of scale `mini`, which is the default, and none of a scale that nobody has.
    for call in [&["summary"][..], &["summary", "--scale", "smoek"]] {
        folder
            .dubench(&[call, &["--claims", "claims.yaml"]].concat())
            .fails(2, &["--scale", "a scale of which results has results: smoke"]);
    }
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder
        .dubench(&["summary", "empty", "--claims", "claims.yaml"])
        .fails(2, &["empty", "run an experiment first"]);
    folder
        .dubench(&["summary", "--scale", "smoke", "--claims", "gone.yaml"])
        .fails(2, &["gone.yaml", "--claims"]);
    folder.dubench(&[&CALL[..], &["-o", "gone"]].concat()).fails(2, &["--output", "gone"]);
    let run = folder.path("results/tiny/smoke/run.json");
    let record = std::fs::read_to_string(&run).unwrap();
    folder.text("results/tiny/smoke/run.json", "{}");
    folder.dubench(&CALL).fails(5, &["tiny/smoke/run.json"]);
    folder.text("results/tiny/smoke/run.json", &record);
    folder.bytes("results/tiny/smoke/metrics.parquet", b"PAR1 and nothing else");
    folder.dubench(&CALL).fails(5, &["tiny/smoke/metrics.parquet"]);
}
