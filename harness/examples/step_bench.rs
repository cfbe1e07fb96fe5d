//! What a step with draws costs as one call of the network, beside separate calls: time of the processor and of the wall.
//!
//! `just bench-step` takes steps of Table 1 (DDIM-50, M = 5) on the bundled network, one thread in each call, as `dubench generate`
//! does with and without `--step-graph on`: noise, prediction, draws, statistics, sampler. The two take turns, so that both
//! meet the same neighbours, and the least of some rounds is told. Before anything is timed, all that a step says must have
//! the same bits both ways.

#![expect(clippy::print_stdout, reason = "a bench for people")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use dubench::experiment::Experiment;
use dubench::model::Network;
use dubench::model::onnx::{RuntimeOptions, StepGraphs};
use dubench::sampler::{ClipX0, Sampler, Walk};
use dubench::stage::generate::starts::initial_states;
use dubench::stage::generate::trajectory::{BatchRequest, Calls, Seen, see};
use dubench::stage::open::models::open_model;
use dubench::stage::open::{OpenModel, inputs};
use dubench::uncertainty::{Estimator, EstimatorPlan};
use dubench::units::{SampleId, StepIndex};
use ndarray::Array4;

type Answer<T> = Result<T, Box<dyn Error>>;

/// A step at which the estimators of Table 1 re-noise.
const STEP: StepIndex = StepIndex(46);
/// Evaluations of an image: the trajectory's and one a draw.
const EVALUATIONS: f64 = 6.0;
const ROUNDS: usize = 7;

/// Seconds of the processor that this thread has had, where the system tells; of the wall elsewhere.
struct Clock(Instant);

impl Clock {
    fn processor(&self) -> f64 {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let nanoseconds = told.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        nanoseconds.map_or_else(|| self.wall(), |n| n / 1e9)
    }

    fn wall(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// The network of the experiment and what looks on.
struct Bench {
    model: OpenModel,
    estimators: Vec<Box<dyn Estimator>>,
    sampler: Box<dyn Sampler>,
}

impl Bench {
    fn open(rows: usize) -> Answer<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let experiment = Experiment::read(&root.join("../experiments/table1-cifar10.yaml"))?;
        let plan = inputs::plan(&experiment, "smoke")?;
        let options = RuntimeOptions {
            step_graphs: StepGraphs::On,
            micro_batch: rows,
            ..RuntimeOptions::default()
        };
        let model = open_model(&experiment, &plan, &options)?;
        let arm = plan.arms.first().ok_or("the plan has no arm")?;
        let mut estimators =
            arm.watch.iter().map(EstimatorPlan::build).collect::<Result<Vec<_>, _>>()?;
        estimators.retain(|estimator| estimator.as_perturbed().is_some());
        let clips = ClipX0::of_model(model.denoiser.spec());
        let walk = Walk { schedule: &model.schedule, clips, seed: 7, samples: &[] };
        let sampler = arm.sampler.build(&walk)?;
        Ok(Self { model, estimators, sampler })
    }

    /// One step of a batch, and the state behind it.
    fn step(
        &mut self,
        x: &Array4<f32>,
        samples: &[SampleId],
        (calls, rows): (Calls, usize),
    ) -> Answer<(Seen, Array4<f32>)> {
        let max_batch = NonZeroUsize::new(rows).ok_or("no rows a call")?;
        let (start, before_step) = (StepIndex(0), None);
        let request = BatchRequest {
            seed: 7,
            samples,
            conditions: None,
            x: x.view(),
            start,
            max_batch,
            before_step,
        };
        let mut network = Network::new(self.model.denoiser.as_mut());
        let watching = (self.estimators.as_mut_slice(), self.sampler.as_ref());
        let mut seen = see(&request, (x, STEP, calls), watching, &mut network)?;
        if let Some(next) = seen.next.take() {
            return Ok((seen, next));
        }
        let mut no_more = |_: ndarray::ArrayView4<'_, f32>, _| unreachable!("DDIM asks once");
        let next = self.sampler.step(STEP, x.view(), seen.epsilon.view(), &mut no_more)?;
        Ok((seen, next))
    }
}

fn bits<'a>(arrays: impl IntoIterator<Item = &'a Array4<f32>>) -> Vec<u32> {
    arrays.into_iter().flat_map(|array| array.iter().map(|value| value.to_bits())).collect()
}

/// Milliseconds an evaluation of the processor and of the wall, for separate calls and for one, the least of some rounds.
fn measured(bench: &mut Bench, images: u64, rows: usize) -> Answer<[[f64; 2]; 2]> {
    let samples: Vec<SampleId> = (0..images).map(SampleId).collect();
    let x = initial_states(7, &samples, bench.model.denoiser.spec().shape);
    let ways = [Calls::Separate, Calls::AsTheNetworkHas];
    let mut said = Vec::new();
    for way in ways {
        let (seen, next) = bench.step(&x, &samples, (way, rows))?;
        let maps = seen.estimates.iter().flatten().map(|estimate| &estimate.map);
        said.push(bits([&seen.epsilon, &seen.x0_hat, &next].into_iter().chain(maps)));
    }
    if said[0] != said[1] {
        return Err(format!("{images} images: one call has other bits than separate calls").into());
    }
    let clock = Clock(Instant::now());
    let mut least = [[f64::INFINITY; 2]; 2];
    for _ in 0..ROUNDS {
        for (way, least) in ways.into_iter().zip(&mut least) {
            let begin = [clock.processor(), clock.wall()];
            std::hint::black_box(bench.step(&x, &samples, (way, rows))?);
            for (at, end) in [clock.processor(), clock.wall()].into_iter().enumerate() {
                let ms = 1e3 * (end - begin[at]) / (EVALUATIONS * images as f64);
                least[at] = least[at].min(ms);
            }
        }
    }
    Ok(least)
}

fn main() -> Answer<()> {
    println!(
        "| images | rows a call | separate, ms an evaluation | one call | ratio | of the wall |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for (images, rows) in [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (64, 128)]
    {
        let mut bench = Bench::open(rows)?;
        let [separate, whole] = measured(&mut bench, images, rows)?;
        println!(
            "| {images} | {rows} | {:.3} | {:.3} | {:.2} | {:.2} |",
            separate[0],
            whole[0],
            whole[0] / separate[0],
            whole[1] / separate[1]
        );
    }
    Ok(())
}
