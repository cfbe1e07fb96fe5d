//! Blocks that ask one network in turn, as they do on a GPU: the digits of one block at a time, and a device that is kept busy.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use ndarray::{Array2, Array4};

use super::{Bench, one_extractor, one_network};
use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::features::{ExtractOptions, features};
use crate::stage::generate::generate;
use crate::stage::open::OpenModel;
use crate::stage::settings::GenerateOptions;
use crate::stage::{StageSummary, Stop};

/// The workers in the order of their calls.
type Calls = Arc<Mutex<Vec<ThreadId>>>;

/// A network of a device of its own, whose calls take so long and hold no core.
struct Elsewhere {
    inner: Box<dyn Denoiser>,
    latency: Duration,
    calls: Calls,
}

impl Elsewhere {
    fn answer<T>(&mut self, call: impl FnOnce(&mut dyn Denoiser) -> T) -> T {
        self.calls.lock().unwrap().push(std::thread::current().id());
        std::thread::sleep(self.latency);
        call(self.inner.as_mut())
    }
}

impl Denoiser for Elsewhere {
    fn spec(&self) -> &DenoiserSpec {
        self.inner.spec()
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        self.answer(|network| network.epsilon(input))
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        self.answer(|network| network.epsilon_dropout(input, masks, p))
    }
}

fn several(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Generates on devices of a latency, `turns` blocks at a time on each.
fn generated(
    bench: &Bench,
    name: &str,
    (networks, turns): (usize, usize),
    (latency, calls): (Duration, &Calls),
) -> StageSummary {
    let stop = Stop::default();
    let run = bench.run(name, Shard::whole(), &stop);
    let (networks, turns) = (several(networks), several(turns));
    let options = GenerateOptions { networks, turns, ..one_network(5) };
    let summary = generate(&run, options, &mut || {
        let model = bench.open()?;
        let (inner, calls) = (model.denoiser, Arc::clone(calls));
        Ok(OpenModel { denoiser: Box::new(Elsewhere { inner, latency, calls }), ..model })
    });
    summary.unwrap()
}

fn evaluated(bench: &Bench, name: &str, turns: usize) -> Evaluation {
    let stop = Stop::default();
    let run = bench.run(name, Shard::whole(), &stop);
    let options = ExtractOptions { turns: several(turns), ..one_extractor(5) };
    features(&run, options, &mut || bench.extractor()).unwrap();
    evaluate(&run, &bench.experiment).unwrap()
}

#[test]
fn blocks_that_take_turns_have_the_digits_of_one_at_a_time() {
    let bench = Bench::edited(|text| {
        text.replace("std: 0.5\n", "std: 0.5\n  dropout: true\n  classes: 3\n")
            .replace("estimators:\n", "estimators:\n  - {kind: mc_dropout}\n")
    });
    let expected = bench.all("one", 16).unwrap();
    for (networks, turns, n_networks) in [(1, 2, 1), (1, 9, 1), (2, 2, 2), (3, 1, 3)] {
        let name = format!("{networks}-{turns}");
        let calls = Calls::default();
        let summary = generated(&bench, &name, (networks, turns), (Duration::ZERO, &calls));
        assert_eq!(summary.n_networks, n_networks);
        let got = evaluated(&bench, &name, turns);
        assert_eq!(got.digest, expected.digest, "{networks} networks, {turns} turns");
        assert_eq!(got.numbers.scores, expected.numbers.scores);
    }
}

#[test]
fn calls_of_two_blocks_come_in_turn() {
    let bench = Bench::new();
    let calls = Calls::default();
    let latency = Duration::from_millis(1);
    let summary = generated(&bench, "work", (1, 2), (latency, &calls));
    let calls = calls.lock().unwrap();
    // One block after another changes hands twice. Of three blocks two run side by side, then one alone.
    let changes = calls.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes * 4 > calls.len(), "{changes} changes in {} calls", calls.len());
    // Time of waiting for the other block is no time inside the network.
    let least = latency * u32::try_from(calls.len()).unwrap();
    assert!(summary.network >= least && summary.network <= summary.wall, "{summary:?}");
}
