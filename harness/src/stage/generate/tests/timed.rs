//! Timings and looks along the walk on the model with a closed form.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::exit::{Exit, Exits};
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::generate::generate;
use crate::stage::settings::GenerateOptions;
use crate::stage::tests::{Bench, one_network};
use crate::stage::verify::{Networks, verify};
use crate::stage::{Company, Load, Progress, Run, StageError, Stop};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::Span;

/// The tiny experiment under another protocol, without what it has no need of.
fn bench(protocol: &str, estimators: &str, scale: &str) -> Bench {
    Bench::edited(|text| {
        let head = text.split("estimators:").next().unwrap().to_owned();
        format!(
            "{head}estimators: {estimators}\nprotocol: {protocol}\nscales: {{smoke: {scale}}}\n"
        )
    })
}

fn timing() -> Bench {
    let estimators = "[{kind: sample_var, name: three, window: {start: 45, len: 3}}, {kind: centered, n_draws: 8}]";
    bench("{kind: timing}", estimators, "{n_pool: 12, block_size: 4}")
}

/// Others that keep as many cores busy as the list says, call by call.
struct Says(Mutex<Vec<f64>>);

impl Says {
    fn new(cores: &[f64]) -> Self {
        Self(Mutex::new(cores.iter().rev().copied().collect()))
    }
}

impl Load for Says {
    fn others(&self) -> Option<f64> {
        Some(self.0.lock().unwrap().pop().unwrap_or(0.01))
    }

    fn processor(&self) -> Option<String> {
        Some("abacus".to_owned())
    }
}

/// Notes how many images were done at each step forward.
#[derive(Default)]
struct Counts(AtomicUsize, AtomicUsize);

impl Progress for Counts {
    fn begin(&self, _stage: &str, total: u64, _done: u64) {
        self.1.store(usize::try_from(total).unwrap(), Ordering::SeqCst);
    }

    fn advance(&self, n: u64) {
        self.0.fetch_add(usize::try_from(n).unwrap(), Ordering::SeqCst);
    }

    fn end(&self) {}
}

#[test]
fn times_are_taken_of_every_arm_in_every_repeat_after_a_warm_up() {
    let bench = timing();
    let (stop, counts, load) = (Stop::default(), Counts::default(), Says::new(&[]));
    let work = bench.work("work");
    let mut run = Run::open(&bench.plan, &work, Shard::whole(), (&stop, &counts)).unwrap();
    run.load = Some(&load);
    bench.generate(&run, 2).unwrap();
    // Three arms of three repeats of four images, and a batch of two of each arm.
    assert_eq!(counts.0.load(Ordering::SeqCst), 3 * 3 * 4 + 3 * 2);
    assert_eq!(counts.1.load(Ordering::SeqCst), 3 * 3 * 4 + 3 * 2);
    let evaluation = evaluate(&run, &bench.experiment).unwrap();
    let value = |arm: &str, metric: &str| {
        let rows = &evaluation.numbers.rows;
        rows.iter().find(|row| row.arm == arm && row.metric == metric).and_then(|row| row.value)
    };
    assert_eq!(value("three", "predicted_ratio"), Some(65.0 / 50.0));
    assert_eq!(value("centered", "predicted_ratio"), Some(82.0 / 50.0));
    for arm in ["three", "centered"] {
        assert_eq!(value(arm, "images_equal"), Some(1.0), "{arm}");
        assert!(value(arm, "time_ratio").is_some_and(|ratio| ratio > 0.0));
        assert_eq!(value(arm, "other_cores"), Some(0.01));
    }
    let networks = Networks { model: &mut || bench.open(), extractor: &mut || bench.extractor() };
    verify(&run, &bench.experiment, (2, one_network(3)), networks).unwrap();
}

#[test]
fn repeats_stand_one_after_another_and_their_arms_in_changing_order() {
    let bench = timing();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let clock = super::super::timed::Clock::of(&run, one_network(4)).unwrap();
    let blocks = clock.ordered(bench.plan.blocks().collect());
    let starts: Vec<u64> = blocks.iter().map(|block| block.samples.start).collect();
    assert_eq!(starts, [0, 0, 0, 4, 4, 4, 8, 8, 8]);
    let arms: Vec<usize> =
        blocks.iter().map(|block| bench.plan.arm_of(block.id).unwrap().index).collect();
    for repeat in arms.chunks(3) {
        let mut sorted = repeat.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
    }
    assert!(arms.chunks(3).any(|repeat| repeat != &arms[..3]), "one order for all: {arms:?}");
}

#[test]
fn busy_others_are_refused_unless_told_so_and_what_is_done_stays() {
    let bench = timing();
    let stop = Stop::default();
    // The first answer of a pair is thrown away: it is of the time before. Quiet at first, busy beside the second block.
    let load = Says::new(&[0.0, 0.0, 0.0, 0.02, 0.0, 1.7]);
    let mut run = bench.run("work", Shard::whole(), &stop);
    run.load = Some(&load);
    let error = bench.generate(&run, 4).unwrap_err();
    assert!(matches!(error, StageError::Busy { .. }) && error.exit() == Exit::Resources, "{error}");
    assert!(
        error.to_string().starts_with("1.70 cores were busy with other processes beside block")
    );
    // Busy before anything is begun.
    let busy = Says::new(&[0.0, 0.8]);
    run.load = Some(&busy);
    assert!(bench.generate(&run, 4).unwrap_err().to_string().contains("before the first block"));
    run.company = Company::Tell;
    let load = Says::new(&[0.8; 40]);
    run.load = Some(&load);
    let summary = bench.generate(&run, 4).unwrap();
    assert_eq!((summary.n_found, summary.n_blocks), (1, 9));
    let evaluation = evaluate(&run, &bench.experiment).unwrap();
    let busy = evaluation.numbers.rows.iter().filter(|row| row.metric == "other_cores");
    assert!(busy.filter_map(|row| row.value).any(|cores| cores == 0.8));
}

#[test]
fn what_would_make_times_worthless_is_refused() {
    let bench = timing();
    let stop = Stop::default();
    let run = bench.run("work", Shard::new(0, 2).unwrap(), &stop);
    let error = bench.generate(&run, 4).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    insta::assert_snapshot!(error, @"wall times are evidence here, and shard 0/2 is a share of the blocks: run all of them in one process, without --shard");
    let run = bench.run("work", Shard::whole(), &stop);
    let options = GenerateOptions { networks: NonZeroUsize::new(2).unwrap(), ..one_network(4) };
    let error = generate(&run, options, &mut || bench.open()).unwrap_err();
    insta::assert_snapshot!(error, @"wall times are evidence here, and 2 networks would disturb each other: set --networks 1");
}

#[test]
fn scores_of_steps_add_up_to_the_score_and_their_maps_to_the_map() {
    let bench = bench(
        "{kind: stepwise, n_bootstrap: 50}",
        "[{kind: sample_var, n_draws: 3}]",
        "{n_pool: 6, n_subset: 2, block_size: 4, n_steps: 10}",
    );
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, 3).unwrap();
    let id = run.layout.stage_id(StageName::Generate);
    for (block, arm) in [(0, "steps"), (2, "maps")] {
        let path = run.layout.part(StageName::Generate, crate::units::BlockId(block));
        let part = part::read(&path, id, Parts::All).unwrap();
        assert_eq!((part.arm.as_str(), part.scores.len()), (arm, 11));
        let whole = &part.scores[0];
        for row in 0..part.samples.len() {
            let steps = || part.scores[1..].iter();
            assert!((0..).zip(steps()).all(|(i, step)| step.span == Span::Step(i)));
            let sum: f64 = steps().map(|step| step.score[row]).sum();
            assert!((sum / whole.score[row] - 1.0).abs() < 1e-12);
            let maps = steps().filter_map(|step| step.map.as_ref());
            let of_steps: f32 = maps.map(|maps| maps[row].sum()).sum();
            let of_all = whole.map.as_ref().unwrap()[row].sum();
            let expected = if arm == "maps" { of_all } else { 0.0 };
            assert!((of_steps - expected).abs() < 1e-4 * of_all, "{of_steps}, {expected}");
        }
    }
    let evaluation = evaluate(&run, &bench.experiment).unwrap();
    let curve =
        |metric: &str| evaluation.numbers.curves.iter().filter(|row| row.metric == metric).count();
    assert_eq!((curve("step_mean"), curve("step_sd")), (10, 10));
}
