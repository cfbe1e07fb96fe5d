//! The numbers of a made-up pool, and their page.

use std::collections::BTreeMap;

use dubench_metrics::manifold::{Convention, OverlapOptions, OverlapStudy, overlap};
use ndarray::{Array2, Axis};

use super::rankings::{Ranking, rankings};
use super::rows::{Costs, Input};
use super::table;
use crate::protocol::example::weyl;
use crate::protocol::{ArmScores, MethodColumn, RunFacts};
use crate::report::{Head, markdown};
use crate::store::records::MetricRow;
use crate::units::{Nfe, SampleId};

const K: usize = 3;
const OPTIONS: OverlapOptions = OverlapOptions { convention: Convention::Prdc, k: K };

/// A pool of which every fourth image lies off the real ones.
fn pool() -> Array2<f32> {
    let mut pool = weyl(80, 0.01);
    for mut row in pool.axis_iter_mut(Axis(0)).step_by(4) {
        row += 2.0;
    }
    pool
}

fn off(i: usize) -> bool {
    i.is_multiple_of(4)
}

fn scores() -> ArmScores {
    let column = |name: &str, score: &dyn Fn(usize) -> f64| MethodColumn {
        name: name.to_owned(),
        scores: (0..80).map(score).collect(),
        nfe: Nfe { trajectory: 0, estimator: 20, gradient: 0 },
        seconds: 1.0,
    };
    let knows = |i: usize| if off(i) { 5.0 + i as f64 } else { 0.01 * i as f64 };
    ArmScores {
        samples: (0..80).map(SampleId).collect(),
        methods: vec![column("knows", &knows), column("flat", &|_| 1.0)],
        nfe_trajectory: 50,
        network_seconds: 2.0,
    }
}

fn rows() -> Vec<MetricRow> {
    let (pool, real, scores) = (pool(), weyl(70, 0.0), scores());
    let absent = BTreeMap::from([("mc_dropout".to_owned(), "no dropout".to_owned())]);
    let facts = RunFacts {
        experiment: ["table4-test", "table4", "mini"].map(str::to_owned),
        n_reference: Some(70),
        ..RunFacts::default()
    };
    let input = Input {
        facts: &facts,
        study: OverlapStudy::new(&pool, &real, &OPTIONS).unwrap(),
        rankings: rankings(&scores, (pool.view(), real.view()), K).unwrap(),
        n: 80,
        n_keep: 60,
        null: (999, 5),
        costs: Costs {
            nfe_trajectory: 50,
            methods: scores.methods.iter().map(|m| (m.name.clone(), m.nfe)).collect(),
        },
        not_applicable: &absent,
        paper: &|metric, kind| (metric == "recall" && kind == "random").then_some(0.004),
    };
    input.rows().unwrap()
}

fn find<'a>(rows: &'a [MetricRow], key: (&str, &str, Option<&str>)) -> &'a MetricRow {
    let own =
        |row: &&MetricRow| (row.method.as_str(), row.metric.as_str(), row.side.as_deref()) == key;
    rows.iter().find(own).unwrap_or_else(|| panic!("no row {key:?}"))
}

#[test]
fn every_kept_set_has_the_numbers_of_its_images_alone() {
    let (rows, pool, real) = (rows(), pool(), weyl(70, 0.0));
    let lowest: Vec<usize> = (0..80).filter(|i| !off(*i)).collect();
    let mut highest: Vec<usize> = (0..80).filter(|i| off(*i)).collect();
    highest.extend((0..80).filter(|i| !off(*i)).skip(20));
    highest.sort_unstable();
    for (side, kept) in [("lowest", lowest), ("highest", highest)] {
        let alone = overlap(&pool.select(Axis(0), &kept), &real, &OPTIONS).unwrap();
        let row = |metric| find(&rows, ("knows", metric, Some(side)));
        assert_eq!(row("precision").value, Some(alone.precision));
        assert_eq!(row("precision").se, Some(alone.precision_se));
        assert_eq!(row("recall").value, Some(alone.recall));
        assert_eq!(row("density").value, Some(alone.density));
        assert_eq!(row("coverage").value, Some(alone.coverage));
        assert_eq!((row("recall").n, row("recall").n_reference), (Some(60), Some(70)));
    }
    let whole = overlap(&pool, &real, &OPTIONS).unwrap();
    assert_eq!(find(&rows, ("full", "density", None)).value, Some(whole.density));
    assert_eq!(find(&rows, ("random", "recall", None)).paper_value, Some(0.004));
}

#[test]
fn differences_are_against_random_subsets_and_higher_is_better() {
    let rows = rows();
    let at = |metric, side| find(&rows, ("knows", metric, Some(side)));
    let random = find(&rows, ("random", "precision", None)).value.unwrap();
    let delta = at("delta_precision", "lowest");
    let lowest = at("precision", "lowest").value.unwrap();
    assert!((delta.value.unwrap() - (lowest - random)).abs() < 1e-15);
    assert_eq!(delta.se, find(&rows, ("random", "precision_sd", None)).value);
    assert_eq!(at("p_precision", "lowest").value, Some(0.001));
    // Two scores, realism and rarity with two ends each, and the released ranking.
    assert_eq!(
        at("p_precision_holm", "lowest").reason.as_deref(),
        Some("by Holm's method, over a family of 9")
    );
    assert_eq!(at("delta_precision", "highest").verdict.as_deref(), Some("worse"));
    assert_eq!(
        find(&rows, ("flat", "p_recall", Some("lowest"))).argument.as_deref(),
        Some("random")
    );
}

#[test]
fn the_released_ranking_is_the_first_images() {
    let (rows, pool, real) = (rows(), pool(), weyl(70, 0.0));
    let first: Vec<usize> = (0..60).collect();
    let alone = overlap(&pool.select(Axis(0), &first), &real, &OPTIONS).unwrap();
    assert_eq!(find(&rows, ("nan_ranking", "recall", Some("lowest"))).value, Some(alone.recall));
    assert!(
        !rows
            .iter()
            .any(|row| row.method == "nan_ranking" && row.side.as_deref() == Some("highest"))
    );
}

#[test]
fn realism_keeps_what_is_near_real_images_and_the_score_that_knows_agrees() {
    let (rows, pool, real, scores) = (rows(), pool(), weyl(70, 0.0), scores());
    let ranked = rankings(&scores, (pool.view(), real.view()), K).unwrap();
    let of = |name: &str| -> &Ranking { ranked.iter().find(|r| r.name == name).unwrap() };
    let worst = |ranking: &Ranking| {
        let mut order: Vec<usize> = (0..80).collect();
        order.sort_by(|i, j| ranking.scores[*j].total_cmp(&ranking.scores[*i]));
        order.truncate(20);
        order.iter().filter(|i| off(**i)).count()
    };
    assert_eq!(worst(of("realism")), 20);
    assert!(of("realism").scores.iter().chain(&of("rarity").scores).all(|s| s.is_finite()));
    assert_eq!(of("rarity").scores[0], f64::MAX);
    let rho = find(&rows, ("knows", "spearman", None));
    assert!(rho.value.unwrap() < -0.3 && rho.ci_high.unwrap() < 0.0, "{rho:?}");
    assert_eq!(find(&rows, ("flat", "spearman", None)).value, None);
}

#[test]
fn the_page_has_a_table_of_each_number() {
    let rows = rows();
    let head = Head { experiment: "table4-test", artefact: "table4", scale: "mini", question: "?" };
    let page =
        markdown::write(&table::document(head, &rows, &["Made up.".to_owned()], None).unwrap());
    for heading in
        ["## Precision:", "## Recall:", "## Density:", "## Coverage:", "## Rank correlation"]
    {
        assert_eq!(page.matches(heading).count(), 1, "{heading} in\n{page}");
    }
    for line in [
        "| Realism | most certain |",
        "| Rarity | least certain |",
        "| Not a number (as released) |",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    assert!(page.contains("not applicable: no dropout"), "{page}");
    assert!(page.contains("≤ 0.0010"), "{page}");
}
