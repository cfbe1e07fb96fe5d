//! Arms that carry moments along, on the model with a closed form and on the shipped network.

use crate::plan::Shard;
use crate::propagation::NEGATIVE;
use crate::stage::Stop;
use crate::stage::evaluate::RunEvidence;
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::tests::Bench;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::MetricRow;

const TINY: &str = include_str!("../../../experiment/tiny_bayesdiff.yaml");

fn bench() -> Bench {
    Bench::edited(|_| TINY.to_owned())
}

fn row<'a>(rows: &'a [MetricRow], [arm, method, metric]: [&str; 3]) -> &'a MetricRow {
    rows.iter()
        .find(|row| row.arm == arm && row.method == method && row.metric == metric)
        .unwrap_or_else(|| panic!("{arm} {method} {metric}"))
}

#[test]
fn every_arm_is_judged_in_its_own_pool_and_says_what_it_costs() {
    let bench = bench();
    let first = bench.all("work", 8).unwrap();
    let rows = &first.numbers.rows;
    let fid = row(rows, ["bayesdiff", "bayesdiff", "fid"]);
    // N = 50 and S = 10: 140 evaluations in all, counted at the network.
    assert_eq!((fid.nfe_trajectory, fid.nfe_estimator), (Some(50), Some(90)));
    assert_eq!((fid.kind.as_str(), fid.n), ("bayesdiff", Some(40)));
    let exact = row(rows, ["bayesdiff_exact", "bayesdiff_exact", "fid"]);
    assert_eq!((exact.nfe_trajectory, exact.nfe_estimator), (Some(50), Some(8)));
    assert_eq!(exact.kind, "bayesdiff");
    let random = |arm: &str| row(rows, [arm, "random", "fid"]).value.unwrap().to_bits();
    assert!(random("pool") != random("bayesdiff"), "two pools are one");
    let negative = row(rows, ["bayesdiff_exact", "bayesdiff_exact", NEGATIVE]);
    let share = negative.value.unwrap();
    assert!(share > 0.0 && share < 1.0 && negative.se.is_some(), "{negative:?}");
    let columns = &first.numbers.scores.columns;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["sample_var", "bayesdiff", "bayesdiff_exact"]);
    let second = bench.all("work", 8).unwrap();
    assert!(second.found);
    assert_eq!(Evaluation { found: false, ..second }, first);
}

#[test]
fn batch_and_shards_change_no_bit_of_a_carried_variance() {
    let bench = bench();
    let expected = bench.all("whole", 8).unwrap();
    let got = bench.all("batch-3", 3).unwrap();
    assert_eq!(got.digest, expected.digest);
    assert_eq!(got.numbers.scores, expected.numbers.scores);
    let stop = Stop::default();
    for shard in ["1/2", "0/2"] {
        let run = bench.run("shards", Shard::parse(shard).unwrap(), &stop);
        bench.generate(&run, 5).unwrap();
        bench.features(&run).unwrap();
    }
    let run = bench.run("shards", Shard::whole(), &stop);
    assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest);
}

#[test]
fn the_page_has_a_table_an_arm_and_no_figure_mixes_pools() {
    let bench = bench();
    let numbers = bench.all("work", 8).unwrap().numbers;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let files = bench.plan.protocol.report(&mut evidence, &numbers).unwrap();
    let table = String::from_utf8(files[0].bytes.clone()).unwrap();
    for part in
        ["arm `pool`", "arm `bayesdiff`", "arm `bayesdiff_exact`", "`negative_variance`", "50 + 90"]
    {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert!(table.contains("a pool of its own"), "{table}");
}

/// The score is the sum of the map, and the map that of the variance: what a reader of the parts finds.
#[test]
fn scores_are_sums_of_the_carried_variance() {
    let bench = bench();
    bench.all("work", 8).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let placed = bench.plan.placed_arms().find(|placed| placed.arm.name == "bayesdiff").unwrap();
    let block = placed.blocks().next().unwrap();
    let path = run.layout.part(StageName::Generate, block.id);
    let id = run.layout.stage_id(StageName::Generate);
    let part = part::read(&path, id, Parts::All).unwrap();
    let scores = &part.scores[0];
    assert_eq!((scores.method.as_str(), part.scores[1].method.as_str()), ("bayesdiff", NEGATIVE));
    let maps = scores.map.as_ref().unwrap();
    for (score, map) in scores.score.iter().zip(maps) {
        let sum: f64 = map.iter().map(|value| f64::from(*value)).sum();
        assert!((score - sum).abs() < 1e-5 * sum.abs().max(1e-3), "{score} and {sum}");
    }
}
