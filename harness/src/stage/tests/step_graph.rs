//! Steps with draws as one call: the bits of separate calls, and words where that cannot be.

use std::num::NonZeroUsize;

use super::{Bench, one_extractor, one_network};
use crate::model::onnx::{RuntimeOptions, StepGraphs};
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::features::features;
use crate::stage::generate::generate;
use crate::stage::open::{OpenModel, models};
use crate::stage::settings::GenerateOptions;
use crate::stage::{StageError, Stop};

const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
const DDIM: &str = "{kind: ddim, n_steps: 6}";
const SOLVER: &str = "{kind: dpm_solver_pp_2m, n_steps: 6}";
const ESTIMATORS: &str = "
  - {kind: sample_var, n_draws: 3, window: {start: 2, len: 3}}
  - {kind: centered, n_draws: 3, window: {start: 3, len: 1}}
  - {kind: mc_dropout, p: 0.5, n_draws: 2, window: {start: 3, len: 1}}";

/// The shipped network, seven images in blocks of five.
fn shipped(sampler: &str, estimators: &str) -> Bench {
    Bench::edited(|_| {
        format!(
            "name: whole
question: Does one call say what several said?
artefact: none
model: {{kind: bundle, path: {BUNDLE:?}}}
sampler: {sampler}
seed: 7
estimators:{estimators}
controls:
  - {{kind: mean_squared_epsilon, window: {{start: 3, len: 1}}}}
features: {{kind: pixels, grid: 2}}
reference: {{dataset: toy, path: reference.npz}}
protocol: {{kind: filtering, n_random: 50, curve: {{n_parts: 2, n_points: 1, n_random: 2}}}}
scales:
  smoke: {{n_pool: 7, n_keep: 5, block_size: 5, batch_size: 5}}
"
        )
    })
}

fn open(bench: &Bench, step_graphs: StepGraphs) -> Result<OpenModel, StageError> {
    let options = RuntimeOptions { step_graphs, micro_batch: 4, ..RuntimeOptions::default() };
    models::open_model(&bench.experiment, &bench.plan, &options)
}

/// All stages, with networks in turns of `turns`.
fn evaluated(bench: &Bench, step_graphs: StepGraphs, (batch, turns): (usize, usize)) -> Evaluation {
    let stop = Stop::default();
    let run = bench.run(&format!("{}-{batch}", step_graphs.as_str()), Shard::whole(), &stop);
    let turns = NonZeroUsize::new(turns).unwrap();
    let options = GenerateOptions { turns, step_graphs, ..one_network(batch) };
    generate(&run, options, &mut || open(bench, step_graphs)).unwrap();
    features(&run, one_extractor(5), &mut || bench.extractor()).unwrap();
    evaluate(&run, &bench.experiment).unwrap()
}

#[test]
fn one_call_a_step_has_every_digit_of_separate_calls_on_the_shipped_network() {
    for sampler in [DDIM, SOLVER] {
        let bench = shipped(sampler, ESTIMATORS);
        let expected = evaluated(&bench, StepGraphs::Off, (5, 1));
        for shape in [(5, 2), (2, 1)] {
            let got = evaluated(&bench, StepGraphs::On, shape);
            assert_eq!(got.digest, expected.digest, "{sampler}, {shape:?}");
            assert_eq!(got.numbers.scores, expected.numbers.scores);
        }
    }
}

/// The network makes such steps: else the test above would compare separate calls with themselves.
#[test]
fn the_shipped_network_makes_steps_where_it_is_asked_to() {
    let bench = shipped(DDIM, ESTIMATORS);
    let kinds = |graphs| open(&bench, graphs).unwrap().denoiser.step_kinds();
    let [kind] = kinds(StepGraphs::On)[..] else { panic!("one kind of step was expected") };
    assert_eq!((kind.n_draws, kind.clip), (3, Some([-1.0, 1.0])));
    assert!(kinds(StepGraphs::Off).is_empty());
}

fn refusal(bench: &Bench) -> String {
    open(bench, StepGraphs::On).map(drop).unwrap_err().to_string()
}

#[test]
fn steps_that_cannot_be_one_call_are_refused_by_name() {
    let draws = "
  - {kind: sample_var, n_draws: 3, window: {start: 3, len: 1}}
  - {kind: centered, n_draws: 5, window: {start: 3, len: 1}}";
    let other = "
  - {kind: centered, n_draws: 3, clean: unclipped, window: {start: 3, len: 1}}";
    let dropout = "
  - {kind: mc_dropout, p: 0.5, n_draws: 2, window: {start: 3, len: 1}}";
    let kept = "
  - {kind: sample_var, n_draws: 3, window: {start: 3, len: 1}}";
    for (sampler, estimators, words) in [
        (DDIM, draws, "sample_var takes 3 draws and centered 5"),
        (DDIM, other, "centered re-noises another image"),
        (DDIM, dropout, "nobody re-noises"),
        ("{kind: ddpm, n_steps: 6}", kept, "ddpm is neither DDIM"),
        ("{kind: ddim, n_steps: 6, eta: 0.5}", kept, "ddim is neither DDIM without noise"),
    ] {
        let text = refusal(&shipped(sampler, estimators));
        assert!(text.contains("--step-graph on") && text.contains(words), "{text}");
    }
    let text = refusal(&Bench::new());
    assert!(text.contains("no bundle"), "{text}");
}
