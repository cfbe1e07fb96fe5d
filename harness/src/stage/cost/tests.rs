//! What is counted beforehand is what a run asks.

use std::io::Cursor;

use ndarray::{Array3, Array4};
use ndarray_npy::NpzWriter;

use super::{Answers, Cost, Counting, Evaluations, Tally, cost};
use crate::model::analytic::GaussianDenoiser;
use crate::model::onnx::RuntimeOptions;
use crate::model::{ClassifierFree, Condition, Denoiser, NetworkInput};
use crate::plan::Shard;
use crate::schedule::{NoiseLevel, NoisePoint};
use crate::stage::Stop;
use crate::stage::generate::generate;
use crate::stage::open::OpenModel;
use crate::stage::tests::{Bench, one_network};
use crate::stage::thresholds::thresholds;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::publish;
use crate::units::ClassLabel;

const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");

/// An experiment beside a set of grey images.
fn bench(text: &str, side: usize) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    npz.add_array("arr_0", &Array4::<u8>::from_elem((8, side, side, 3), 90)).unwrap();
    npz.finish().unwrap();
    publish(&folder.path().join("images.npz"), &bytes).unwrap();
    Bench::in_folder(folder, |_| text.to_owned())
}

/// What a plan is said to cost, and what its networks were asked in a real run in batches that fit no block.
fn both(bench: &Bench) -> (Cost, Evaluations) {
    let planned = cost(&bench.experiment, &bench.plan, &RuntimeOptions::default()).unwrap();
    let (stop, tally) = (Stop::default(), Tally::default());
    let run = bench.run("work", Shard::whole(), &stop);
    let mut open = || {
        let model = bench.open()?;
        let denoiser = Counting::new(model.denoiser, Answers::Real, tally.clone());
        Ok(OpenModel { denoiser: Box::new(denoiser), ..model })
    };
    thresholds(&run, one_network(5), &mut open).unwrap();
    generate(&run, one_network(5), &mut open).unwrap();
    (planned, tally.take())
}

fn all(cost: &Cost) -> Evaluations {
    cost.arms.iter().fold(Evaluations::default(), |sum, arm| {
        let Evaluations { forward, dropout, predictive, products, fused } = arm.evaluations;
        Evaluations {
            forward: sum.forward + arm.n_images * forward,
            dropout: sum.dropout + arm.n_images * dropout,
            predictive: sum.predictive + arm.n_images * predictive,
            products: sum.products + arm.n_images * products,
            fused: sum.fused + arm.n_images * fused,
        }
    })
}

#[test]
fn planned_evaluations_are_those_that_a_run_asks_for() {
    let texts = [
        ("filter", include_str!("../../experiment/tiny.yaml")),
        ("moments", include_str!("../../experiment/tiny_bayesdiff.yaml")),
        ("guidance", include_str!("../../experiment/tiny_guidance.yaml")),
        ("thresholds", include_str!("../../experiment/tiny_thresholds.yaml")),
        ("reconstruction", include_str!("../../experiment/tiny_reconstruction.yaml")),
    ];
    for (name, text) in texts {
        let text = text
            .replace("n_pool: 48, n_keep: 40", "n_pool: 20, n_keep: 16")
            .replace("n_pool: 24, n_subset: 16", "n_pool: 8, n_subset: 8");
        let (planned, asked) = both(&bench(&text, 8));
        assert_eq!(all(&planned), asked, "{name}");
        assert!(asked.all() > 1000, "{name}: {asked:?}");
    }
}

/// Every sampler that asks inside a step, or starts before the first.
#[test]
fn samplers_that_ask_inside_a_step_are_counted() {
    for (sampler, a_walk) in [
        ("{kind: ddim, n_steps: 7}", 7),
        ("{kind: dpm_solver_2, n_steps: 7}", 13),
        ("{kind: pndm, n_steps: 7}", 8),
        ("{kind: dpm_solver_pp_2m, n_steps: 7}", 7),
    ] {
        let text = include_str!("../../experiment/tiny.yaml")
            .replace("sampler: {kind: ddim, n_steps: 50}", &format!("sampler: {sampler}"))
            .replace("{kind: sample_var}", "{kind: sample_var, window: {start: 2, len: 3}}")
            .replace("window: {start: 40, len: 2}", "n_draws: 8, window: {start: 4, len: 2}")
            .replace(
                "{kind: mean_squared_epsilon}",
                "{kind: mean_squared_epsilon, window: {start: 0, len: 7}}",
            );
        let (planned, asked) = both(&bench(&text, 8));
        assert_eq!(all(&planned), asked, "{sampler}");
        // Five draws at two steps, and the larger of five and eight at the others: draws are shared.
        assert_eq!(planned.arms[0].evaluations.forward, a_walk + 2 * 5 + 2 * 8, "{sampler}");
    }
}

/// An experiment with the shipped network, whose estimators, protocol and scales are `rest`.
fn of_bundle(rest: &str) -> String {
    format!(
        "name: counted
question: Is it counted as it runs?
artefact: none
model: {{kind: bundle, path: {BUNDLE:?}}}
sampler: {{kind: ddim, n_steps: 3}}
seed: 7
features: {{kind: pixels, grid: 2}}
reference: {{dataset: toy, path: reference.npz}}
{rest}"
    )
}

/// The shipped network: dropout masks, and the graph that holds the variance of all draws.
#[test]
fn planned_evaluations_of_a_bundle_are_those_of_its_run() {
    let filter = of_bundle(
        "estimators:
  - {kind: sample_var, n_draws: 2, window: {start: 1, len: 1}}
  - {kind: mc_dropout, p: 0.5, n_draws: 2, window: {start: 2, len: 1}}
controls: [{kind: total_variation}]
protocol: {kind: filtering, n_random: 50}
scales:
  smoke: {n_pool: 5, n_keep: 4, block_size: 5, batch_size: 5}
",
    );
    let (planned, asked) = both(&bench(&filter, 32));
    assert_eq!(all(&planned), asked);
    assert_eq!((asked.forward, asked.dropout), (5 * (3 + 2), 5 * 2));
    let guided = of_bundle(
        "protocol:
  kind: guidance
  arms:
    - {name: unguided}
    - {name: gradient, rule: {kind: gradient}}
scales:
  smoke: {n_pool: 2, block_size: 2, batch_size: 2, n_draws: 2}
",
    );
    let (planned, asked) = both(&bench(&guided, 32));
    assert_eq!(all(&planned), asked);
    assert_eq!((asked.fused, asked.products), (2 * 3 * 2, 0));
    let forward = planned.networks.forward.unwrap();
    // Neither decoder nor feature network: three predictions, and three more there and back of two draws.
    let expected = 3 * forward + 3 * 2 * (forward + planned.networks.reverse.unwrap());
    assert_eq!(planned.arms[1].operations, Some(expected));
    let seconds = planned.seconds_at_evaluations(2.0);
    let by_hand = planned.operations().unwrap() as f64 / (2.0 * forward as f64);
    assert!((seconds - by_hand).abs() < 1e-9 * by_hand);
}

/// Image, scores and maps of a block are those that were planned, byte for byte before they are compressed.
#[test]
fn planned_bytes_are_those_of_the_parts() {
    for text in [
        include_str!("../../experiment/tiny.yaml"),
        include_str!("../../experiment/tiny_reconstruction.yaml"),
    ] {
        let bench = bench(text, 8);
        let (planned, _) = both(&bench);
        let stop = Stop::default();
        let run = bench.run("work", Shard::whole(), &stop);
        let id = run.layout.stage_id(StageName::Generate);
        for (placed, arm) in bench.plan.placed_arms().zip(&planned.arms) {
            let mut bytes = 0;
            for block in placed.blocks() {
                let path = run.layout.part(StageName::Generate, block.id);
                let part = part::read(&path, id, Parts::All).unwrap();
                bytes += part.images.len();
                for method in part.scores {
                    bytes += 8 * method.score.len();
                    bytes += method.map.iter().flatten().map(|map| 4 * map.len()).sum::<usize>();
                }
            }
            let features = bench.plan.extractor.as_ref().map_or(0, |extractor| 4 * extractor.dim);
            let n = usize::try_from(arm.n_images).unwrap();
            assert_eq!(arm.bytes, Some((bytes / n + features) as u64), "{}", arm.name);
        }
    }
}

#[test]
fn guidance_by_a_null_counts_both_halves() {
    let gaussian = || GaussianDenoiser::new(Array3::zeros((1, 2, 2)), 0.5).unwrap();
    let place = NoisePoint { t: 0.4, level: NoiseLevel::flow(0.4) };
    let x = Array4::zeros((3, 1, 2, 2));
    let y = Condition::of_classes(&[0, 1, 1].map(ClassLabel));
    let input = NetworkInput { x: x.view(), t: &[place; 3], y: Some(&y) };
    for (scale, n) in [(1.0, 3), (4.0, 6)] {
        let tally = Tally::default();
        let guided = ClassifierFree::new(Box::new(gaussian().with_classes(2, 0.1)), scale);
        let mut counting = Counting::new(Box::new(guided), Answers::Real, tally.clone());
        counting.epsilon(input).unwrap();
        counting.epsilon_vjp(input, x.view()).unwrap();
        let counted = tally.take();
        assert_eq!((counted.forward, counted.products), (n, n), "{scale}");
        assert_eq!((counted.all(), counted.reverse()), (2 * n, n));
        assert_eq!(tally.take(), Evaluations::default());
    }
}
