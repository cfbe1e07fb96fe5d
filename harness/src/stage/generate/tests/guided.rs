//! The guidance pipeline on the model with a closed form.

use std::num::NonZeroUsize;

use crate::guidance::DISPLACEMENT;
use crate::model::onnx::RuntimeOptions;
use crate::plan::Shard;
use crate::stage::Stop;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::evaluate::{RunEvidence, evaluate};
use crate::stage::generate::generate;
use crate::stage::open::models;
use crate::stage::settings::GenerateOptions;
use crate::stage::tests::{Bench, one_network};
use crate::stage::thresholds::thresholds;
use crate::stage::verify::{Networks, verify};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::MetricRow;

const TINY: &str = include_str!("../../../experiment/tiny_guidance.yaml");

fn bench() -> Bench {
    Bench::edited(|_| TINY.to_owned())
}

fn row<'a>(rows: &'a [MetricRow], sampler: &str, [arm, metric]: [&str; 2]) -> &'a MetricRow {
    rows.iter()
        .find(|row| row.sampler == sampler && row.arm == arm && row.metric == metric)
        .unwrap_or_else(|| panic!("{sampler} {arm} {metric}"))
}

#[test]
fn every_arm_has_its_numbers_and_a_second_run_finds_them() {
    let bench = bench();
    let first = bench.all("work", 8).unwrap();
    let rows = &first.numbers.rows;
    for method in ["gradient", "posterior", "second_order", "authors_gradient", "authors_posterior"]
    {
        let delta = row(rows, "ddim-10", [method, "delta"]);
        assert!(delta.value.unwrap().is_finite() && delta.se.is_some(), "{method}");
        row(rows, "ddim-10", [method, "p_value"]);
    }
    // Ten steps, three draws each: as many forward passes as products besides the draws themselves.
    let fid = row(rows, "ddim-10", ["gradient", "fid"]);
    assert_eq!((fid.n, fid.nfe_trajectory), (Some(24), Some(10)));
    assert_eq!((fid.nfe_estimator, fid.nfe_gradient), (Some(60), Some(30)));
    let posterior = row(rows, "ddim-10", ["posterior", "fid"]);
    assert_eq!((posterior.nfe_estimator, posterior.nfe_gradient), (Some(30), Some(0)));
    // Three guided steps: three draws and their products, and the product that reaches x_t.
    let released = row(rows, "ddim-10", ["authors_gradient", "fid"]);
    assert_eq!(released.nfe_gradient, Some(3 * 4));
    let cells = rows.iter().filter(|row| row.arm.starts_with("sweep") && row.metric == "fid");
    assert_eq!(cells.count(), 4);
    let unguided = row(rows, "ddim-10", ["unguided", DISPLACEMENT]);
    assert_eq!((unguided.value, unguided.se), (Some(0.0), Some(0.0)));
    let second = bench.all("work", 8).unwrap();
    assert!(second.found);
    assert_eq!(Evaluation { found: false, ..second }, first);
}

/// The gradient of the sample variance of a Gaussian is zero, so guidance by it moves nothing: the closed form.
#[test]
fn guidance_by_the_variance_of_a_gaussian_changes_nothing() {
    let bench = bench();
    let rows = bench.all("work", 8).unwrap().numbers.rows;
    for (sampler, method) in [("ddim-10", "gradient"), ("dpm_solver_pp_2m-5", "gradient")] {
        let moved = row(&rows, sampler, [method, DISPLACEMENT]).value.unwrap();
        assert!(moved < 1e-6, "{sampler}: {moved}");
        let delta = row(&rows, sampler, [method, "delta"]);
        assert_eq!(delta.verdict.as_deref(), Some("n.s."), "{delta:?}");
    }
    for method in ["posterior", "second_order", "authors_gradient"] {
        let moved = row(&rows, "ddim-10", [method, DISPLACEMENT]).value.unwrap();
        assert!(moved > 1e-8, "{method} moved nothing");
    }
}

#[test]
fn batch_and_shards_change_no_bit_of_a_guided_image() {
    let bench = bench();
    let expected = bench.all("whole", 8).unwrap();
    for batch in [1, 3, 64] {
        let got = bench.all(&format!("batch-{batch}"), batch).unwrap();
        assert_eq!(got.digest, expected.digest);
        assert_eq!(got.numbers.scores, expected.numbers.scores);
    }
    let stop = Stop::default();
    for shard in ["2/3", "0/3", "1/3"] {
        let run = bench.run("shards", Shard::parse(shard).unwrap(), &stop);
        bench.generate(&run, 5).unwrap();
        bench.features(&run).unwrap();
    }
    let run = bench.run("shards", Shard::whole(), &stop);
    assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest);
    let networks = Networks { model: &mut || bench.open(), extractor: &mut || bench.extractor() };
    let verified = verify(&run, &bench.experiment, (3, one_network(7)), networks).unwrap();
    assert_eq!(verified.recomputed.len(), 3);
}

#[test]
fn arms_start_from_the_same_noise() {
    let bench = bench();
    bench.all("work", 8).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let first = |name: &str| {
        let placed = bench.plan.placed_arms().find(|placed| placed.arm.name == name).unwrap();
        let block = placed.blocks().next().unwrap();
        let path = run.layout.part(StageName::Generate, block.id);
        part::read(&path, run.layout.stage_id(StageName::Generate), Parts::All).unwrap().images
    };
    // The gradient of a Gaussian is zero: the same starts give the same images.
    assert_eq!(first("unguided"), first("gradient"));
    assert_ne!(first("unguided"), first("second_order"));
}

#[test]
fn the_report_has_the_sweep_the_effects_and_the_images() {
    let bench = bench();
    let numbers = bench.all("work", 8).unwrap().numbers;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let files = bench.plan.protocol.report(&mut evidence, &numbers).unwrap();
    for name in [
        "table.md",
        "plots/sweep.svg",
        "plots/guidance-effect.png",
        "plots/guided-and-unguided.svg",
    ] {
        assert!(files.iter().any(|file| file.name == name), "{name}");
    }
    let table = String::from_utf8(files[0].bytes.clone()).unwrap();
    for part in ["ddim-10", "dpm_solver_pp_2m-5", "Sweep", "downhill", "reverse"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    // Cells of the sweep stand in its own table: one line an arm that the file lists.
    assert!(!table.contains("lambda="), "{table}");
}

/// The shipped network under two rules of the paper's kind, at three steps.
fn shipped() -> String {
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
    format!(
        "name: shipped
question: Does a guided run give the same bits twice?
artefact: none
model: {{kind: bundle, path: {bundle:?}}}
sampler: {{kind: ddim, n_steps: 3}}
seed: 3
features: {{kind: pixels, grid: 2}}
reference: {{dataset: toy, path: reference.npz}}
protocol:
  kind: guidance
  arms:
    - {{name: unguided}}
    - {{name: gradient, rule: {{kind: gradient}}}}
    - {{name: pixel, rule: {{kind: gradient, mask: {{kind: dataset_pixel}}}}}}
scales:
  smoke: {{n_pool: 4, block_size: 2, batch_size: 2, n_draws: 2, n_threshold_images: 4}}
"
    )
}

/// Displacements are sums of squares in f64 over all predictions, so one bit of one of them would show.
#[test]
fn the_shipped_network_guided_twice_gives_the_same_bits() {
    let bench = Bench::edited(|_| shipped());
    let stop = Stop::default();
    let digests = |name: &str, [networks, turns]: [usize; 2], memory: Option<u64>| -> Vec<String> {
        let runtime = RuntimeOptions { memory, ..RuntimeOptions::default() };
        let open = || models::open_model(&bench.experiment, &bench.plan, &runtime);
        let run = bench.run(name, Shard::whole(), &stop);
        let [networks, turns] = [networks, turns].map(|n| NonZeroUsize::new(n).unwrap());
        let options = GenerateOptions { networks, turns, ..one_network(2) };
        thresholds(&run, options, &mut || open()).unwrap();
        generate(&run, options, &mut || open()).unwrap();
        let id = run.layout.stage_id(StageName::Generate);
        let part = |block| run.layout.part(StageName::Generate, block);
        let claims = bench.plan.blocks().map(|block| part::claims(&part(block.id), id).unwrap());
        claims.map(|claims| claims.content_sha256).collect()
    };
    let first = digests("first", [1, 1], None);
    assert_eq!(first.len(), 6);
    assert_eq!(digests("second", [2, 1], None), first);
    assert_eq!(digests("in turn", [1, 3], None), first);
    // Memory for less than one image: one at a time, and the same bits.
    assert_eq!(digests("narrow", [1, 1], Some(1)), first);
    // The rules moved something: these are not three times the same images.
    assert!(first[0] != first[2] && first[2] != first[4], "{first:?}");
}
