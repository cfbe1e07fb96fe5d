//! Generative uncertainty on the model with a closed form: the bias of its last layer moves the end of every walk by one number.

use std::f64::consts::PI;

use crate::noise::{NoiseKey, Purpose, standard_normal};
use crate::plan::Shard;
use crate::protocol::generative::METHOD;
use crate::sampler::{ClipX0, SamplerConfig, Walk};
use crate::schedule::NoiseSchedule;
use crate::stage::Stop;
use crate::stage::evaluate::{RunEvidence, evaluate};
use crate::stage::tests::Bench;
use crate::store::records::MetricRow;
use crate::units::{SampleId, StepIndex};

const TINY: &str = include_str!("../../../experiment/tiny.yaml");
const TAU: f64 = 0.1;
const SEED: u64 = 7;

/// Images around grey, narrow enough for no level to be cut, and walks that do not clip.
fn bench(bias_variance: &str) -> Bench {
    let edits = [
        ("mean: 0.1", "mean: 0.0".to_owned()),
        ("std: 0.5", format!("std: {TAU}\n  bias_variance: {bias_variance}")),
        ("n_steps: 50}", "n_steps: 50, clip_x0: off}".to_owned()),
        ("{kind: filtering,", "{kind: filtering, generative_uncertainty: {},".to_owned()),
    ];
    Bench::edited(|_| {
        edits.iter().fold(TINY.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    })
}

fn scores(bench: &Bench) -> Vec<f64> {
    let numbers = bench.all("work", 8).unwrap().numbers;
    let (_, column) = numbers.scores.columns.into_iter().find(|(name, _)| name == METHOD).unwrap();
    column
}

/// How far a bias of 1 moves the end of a DDIM walk: `x' = p x + q (J x + b)` step by step, since `epsilon = J (x - a mu) + b`.
fn moved_by_one() -> f64 {
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    let config: SamplerConfig =
        serde_json::from_str(r#"{"kind": "ddim", "n_steps": 50, "clip_x0": "off"}"#).unwrap();
    let samples = [SampleId(0)];
    let walk = Walk { schedule: &schedule, clips: ClipX0::Never, seed: SEED, samples: &samples };
    let sampler = config.build(&walk).unwrap();
    (0..50).map(StepIndex).fold(0.0, |moved, index| {
        let (point, step) = (sampler.point(index), sampler.linear(index).unwrap());
        let (a, s) = (point.a(), point.s());
        let slope = s / (a * a * TAU * TAU + s * s);
        step.of_x * moved + step.of_epsilon * (slope * moved + 1.0)
    })
}

/// Twelve features, which are means of 16 grey levels in [0, 1]: all move by half of what the pixels do, so their variance over
/// the six networks is known, and one for all images. Levels are rounded, which moves a mean by 2.8e-4 and the score by 0.01.
#[test]
fn the_score_is_the_entropy_of_the_closed_form() {
    let bench = bench("0.02");
    let bias = |draw: u32| {
        let (purpose, sample) = (Purpose::HeldWeights, SampleId(0));
        let mut z = [0.0];
        standard_normal(NoiseKey { seed: SEED, purpose, sample, step: 0, draw }, &mut z);
        0.02_f64.sqrt() * f64::from(z[0])
    };
    // The network as it is, and five draws.
    let shifts: Vec<f64> = std::iter::once(0.0)
        .chain((1..=5).map(bias))
        .map(|bias| 0.5 * bias * moved_by_one())
        .collect();
    assert!(shifts.iter().all(|shift| shift.abs() < 0.25), "no level is cut: {shifts:?}");
    let mean = shifts.iter().sum::<f64>() / 6.0;
    let variance = shifts.iter().map(|shift| (shift - mean).powi(2)).sum::<f64>() / 6.0;
    assert!(variance > 5e-4, "{variance} is as good as none");
    let expected = 6.0 * ((variance + 1e-3).ln() + (2.0 * PI).ln() + 1.0);
    for score in scores(&bench) {
        assert!((score - expected).abs() < 0.05, "{score}, expected {expected}");
    }
}

#[test]
fn weights_that_are_certain_leave_every_image_at_the_floor() {
    let floor = 6.0 * ((2.0 * PI * 1e-3).ln() + 1.0);
    let scores = scores(&bench("0.0"));
    assert_eq!(scores.len(), 48);
    assert!(scores.iter().all(|score| (score - floor).abs() < 1e-9), "{scores:?}");
}

#[test]
fn it_ranks_the_pool_beside_the_others_and_says_what_its_walks_cost() {
    let bench = bench("0.02");
    let first = bench.all("work", 8).unwrap();
    let rows = &first.numbers.rows;
    let of = |metric: &str| -> Vec<&MetricRow> {
        rows.iter().filter(|row| row.method == METHOD && row.metric == metric).collect()
    };
    let fid = of("fid");
    assert_eq!(fid.len(), 2);
    assert_eq!((fid[0].nfe_trajectory, fid[0].nfe_estimator), (Some(50), Some(250)));
    assert_eq!((fid[0].arm.as_str(), fid[0].kind.as_str()), ("pool", METHOD));
    // Walks by drawn weights are part of a score, and no pools with rows of their own.
    assert!(rows.iter().all(|row| row.arm == "pool"));
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let files = bench.plan.protocol.report(&mut evidence, &first.numbers).unwrap();
    let table = String::from_utf8(files[0].bytes.clone()).unwrap();
    for part in
        ["| Generative uncertainty | most certain |", "50 + 250", "of 5 more from the same start"]
    {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
}

#[test]
fn batch_and_shards_change_no_bit_of_it() {
    let bench = bench("0.02");
    let expected = bench.all("whole", 8).unwrap();
    assert_eq!(bench.all("batch-3", 3).unwrap().digest, expected.digest);
    let stop = Stop::default();
    for shard in ["1/2", "0/2"] {
        let run = bench.run("shards", Shard::parse(shard).unwrap(), &stop);
        bench.generate(&run, 5).unwrap();
        bench.features(&run).unwrap();
    }
    let run = bench.run("shards", Shard::whole(), &stop);
    assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest);
}
