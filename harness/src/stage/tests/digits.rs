//! Whatever happens in between, the digits are the same.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Bench, one_network};
use crate::exit::{Exit, Exits};
use crate::model::onnx::SelfTestReport;
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::generate::generate;
use crate::stage::open::OpenModel;
use crate::stage::run::status;
use crate::stage::settings::GenerateOptions;
use crate::stage::{Progress, Run, Sharing, Stop};
use crate::store::layout::StageName;
use crate::store::publish;
use crate::store::sidecar::sidecar_path;

/// Asks for a stop when the n-th image is done.
struct StopAfter<'a>(&'a Stop, AtomicU64);

impl Progress for StopAfter<'_> {
    fn begin(&self, _stage: &str, _total: u64, _done: u64) {}

    fn advance(&self, n: u64) {
        let left = self.1.load(Ordering::SeqCst).saturating_sub(n);
        self.1.store(left, Ordering::SeqCst);
        if left == 0 {
            self.0.request();
        }
    }

    fn end(&self) {}
}

#[test]
fn batch_size_and_threads_change_no_digit() {
    let bench = Bench::edited(|text| {
        text.replace("std: 0.5\n", "std: 0.5\n  dropout: true\n  classes: 3\n")
            .replace("estimators:\n", "estimators:\n  - {kind: mc_dropout}\n")
    });
    let expected = bench.all("batch-16", 16).unwrap();
    for batch in [1, 7, 64] {
        let got = bench.all(&format!("batch-{batch}"), batch).unwrap();
        assert_eq!(got.digest, expected.digest, "batch {batch}");
        assert_eq!(got.numbers.scores, expected.numbers.scores);
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(|| bench.all(&format!("threads-{threads}"), 16)).unwrap();
        assert_eq!(got.digest, expected.digest, "{threads} threads");
    }
    for n in [2, 3, 9] {
        let stop = Stop::default();
        let run = bench.run(&format!("networks-{n}"), Shard::whole(), &stop);
        let options = GenerateOptions { networks: NonZeroUsize::new(n).unwrap(), ..one_network(7) };
        let summary = generate(&run, options, &mut || bench.open()).unwrap();
        assert_eq!(summary.n_networks, n.min(3));
        assert_eq!(bench.features_by(&run, n).unwrap().n_networks, n.min(3));
        let got = evaluate(&run, &bench.experiment).unwrap();
        assert_eq!(got.digest, expected.digest, "{n} networks");
    }
}

#[test]
fn shards_in_any_order_and_number_change_no_digit() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    for (name, shards) in [("two", vec!["1/2", "0/2"]), ("mixed", vec!["2/3", "0/2", "1/2", "0/3"])]
    {
        let stop = Stop::default();
        for shard in shards {
            let run = bench.run(name, Shard::parse(shard).unwrap(), &stop);
            bench.generate(&run, 8).unwrap();
            bench.features(&run).unwrap();
        }
        let run = bench.run(name, Shard::whole(), &stop);
        assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest, "{name}");
    }
}

#[test]
fn a_stop_loses_the_block_in_hand_and_resume_gives_the_same_digits() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    for stop_after in [1, 16, 20, 33] {
        let name = format!("stopped-{stop_after}");
        let stop = Stop::default();
        let listener = StopAfter(&stop, AtomicU64::new(stop_after));
        let work = bench.work(&name);
        let run = Run::open(&bench.plan, &work, Shard::whole(), (&stop, &listener)).unwrap();
        let error = bench.generate(&run, 4).unwrap_err();
        assert_eq!(error.exit(), Exit::Interrupted, "{error}");
        let done = status(&bench.plan, &run.layout)[0].n_present;
        assert_eq!(done, (stop_after.next_multiple_of(4)) / 16, "{error}");
        drop(run);
        let resumed = bench.all(&name, 16).unwrap();
        assert_eq!(resumed.digest, expected.digest);
    }
}

#[test]
fn what_a_killed_process_leaves_behind_is_made_good() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("killed", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    // Killed between a part and its hash, in the middle of a part, and after a hash without a part.
    std::fs::remove_file(sidecar_path(&bench.part("killed", StageName::Generate, 0))).unwrap();
    let half = run
        .layout
        .stage_folder(StageName::Generate)
        .join(".block-000001.parquet.0123456789abcdef.tmp");
    publish(&half, b"PAR1 half").unwrap();
    std::fs::remove_file(bench.part("killed", StageName::Generate, 2)).unwrap();
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_images), (3, 2, 16));
    assert!(sidecar_path(&bench.part("killed", StageName::Generate, 0)).exists());
    drop(run);
    assert_eq!(bench.all("killed", 16).unwrap().digest, expected.digest);
}

#[test]
fn two_processes_on_the_whole_plan_are_told_and_shards_may_overlap() {
    let bench = Bench::new();
    let stop = Stop::default();
    let first = bench.run("work", Shard::whole(), &stop);
    let _held = first.lock(StageName::Generate).unwrap();
    let error = bench.generate(&bench.run("work", Shard::whole(), &stop), 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Resources, "{error}");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let worker = || {
            let mut run = bench.run("work", Shard::whole(), &stop);
            run.sharing = Sharing::Allow;
            bench.generate(&run, 3).map(|_| ())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn a_network_whose_rows_depend_on_their_batch_pins_the_batch_size() {
    let bench = Bench::new();
    let stop = Stop::default();
    let go = |name: &str, against_single: f32, batch: usize| {
        let mut run = bench.run(name, Shard::whole(), &stop);
        run.limit = Some(1);
        generate(&run, one_network(batch), &mut || {
            let report = SelfTestReport {
                n_rows: 5,
                largest: 1.0,
                against_single,
                against_reversed: 0.0,
                against_repeat: 0.0,
            };
            Ok(OpenModel { self_test: Some(report), ..bench.open()? })
        })
    };
    go("invariant", 0.0, 16).unwrap();
    go("invariant", 0.0, 7).unwrap();
    go("dependent", 1e-7, 16).unwrap();
    go("dependent", 1e-7, 16).unwrap();
    let error = go("dependent", 1e-7, 7).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("batch_size is 16"), "{error}");
}

#[test]
fn a_limit_leaves_blocks_for_another_time() {
    let bench = Bench::new();
    let stop = Stop::default();
    let mut run = bench.run("work", Shard::whole(), &stop);
    run.limit = Some(1);
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_left), (3, 0, 2));
    run.limit = None;
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_left), (3, 1, 0));
}
