//! Whole trajectories on networks in closed form.

use ndarray::{Array3, Axis};

use super::*;
use crate::control::MeanSquaredEpsilon;
use crate::model::analytic::{GaussianDenoiser, MixtureDenoiser};
use crate::model::{ClassifierFree, Denoiser, DenoiserSpec, NetworkInput};
use crate::sampler::{ClipX0, Ddim, DpmSolverPp2m, FinalAlphaBar, SamplerConfig, Walk};
use crate::schedule::{NoiseSchedule, ScheduleConfig, TimestepGrid};
use crate::stage::generate::keep::{Keep, SummedMaps};
use crate::stage::generate::starts::{Starts, initial_labels, initial_states, noised_references};
use crate::store::records::MethodScores;
use crate::uncertainty::{CenteredVariance, McDropout, SampleVariance, Window};
use crate::units::ClassLabel;

const SEED: u64 = 2024;
const WINDOW: Window = Window { start: 5, len: 3 };
const N_STEPS: u32 = 10;

fn schedule() -> NoiseSchedule {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
}

fn ddim(clip: ClipX0) -> Ddim {
    let grid = TimestepGrid::leading(1000, N_STEPS, 0).unwrap();
    Ddim::new(&schedule(), &grid, clip, FinalAlphaBar::One).unwrap()
}

fn solver() -> DpmSolverPp2m {
    DpmSolverPp2m::new(&schedule(), &TimestepGrid::dpm_linspace(1000, N_STEPS).unwrap()).unwrap()
}

fn gaussian() -> GaussianDenoiser {
    let mean = Array3::from_shape_fn((3, 4, 4), |(c, i, j)| 0.1 * (c + i) as f32 - 0.05 * j as f32);
    let model = GaussianDenoiser::new(mean, 0.4).unwrap();
    model.with_dropout().with_classes(5, 0.03)
}

fn zoo() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(SampleVariance::new(WINDOW, 5).unwrap()),
        Box::new(CenteredVariance::new(WINDOW, 3).unwrap()),
        Box::new(McDropout::new(Window { start: 2, len: 4 }, 2, 0.5).unwrap()),
        Box::new(MeanSquaredEpsilon::new(WINDOW)),
    ]
}

/// What one batch gave, and what is kept of the maps of the zoo.
struct Walked {
    outcome: BatchOutcome,
    methods: Vec<MethodScores>,
}

fn run(ids: &[u64], max_batch: usize, sampler: &mut dyn Sampler) -> Walked {
    let mut model = gaussian();
    let samples: Vec<SampleId> = ids.iter().copied().map(SampleId).collect();
    let labels = Condition::of_classes(&initial_labels(SEED, &samples, 5));
    let x = initial_states(SEED, &samples, model.spec().shape);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: Some(&labels),
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::new(max_batch).unwrap(),
        before_step: None,
    };
    let mut zoo = zoo();
    let mut keep = SummedMaps::new(&zoo, x.view());
    let mut watch = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        keep.see(context, estimates);
    };
    let network = &mut Network::new(&mut model);
    let outcome = run_batch(&request, sampler, (&mut zoo, &mut watch), None, network).unwrap();
    Walked { outcome, methods: keep.close() }
}

/// All that belongs to one row, as bits.
fn row_bits(walked: &Walked, row: usize) -> Vec<u64> {
    let pixels = walked.outcome.x0.index_axis(Axis(0), row);
    let mut bits: Vec<u64> = pixels.iter().map(|v| u64::from(v.to_bits())).collect();
    for method in &walked.methods {
        bits.push(method.score[row].to_bits());
        let map = &method.map.as_ref().unwrap()[row];
        bits.extend(map.iter().map(|v| u64::from(v.to_bits())));
    }
    bits
}

#[test]
fn batch_size_and_order_of_rows_change_no_bit() {
    let samplers: [fn() -> Box<dyn Sampler>; 2] =
        [|| Box::new(ddim(ClipX0::Unit)), || Box::new(solver())];
    for sampler in samplers {
        let whole = run(&[0, 1, 2, 3, 4, 5, 6], 64, sampler().as_mut());
        let backwards = run(&[6, 5, 4, 3, 2, 1, 0], 3, sampler().as_mut());
        for id in 0..7_u64 {
            let row = usize::try_from(id).unwrap();
            let alone = run(&[id], 1, sampler().as_mut());
            assert_eq!(row_bits(&whole, row), row_bits(&alone, 0));
            assert_eq!(row_bits(&whole, row), row_bits(&backwards, 6 - row));
        }
        let three = run(&[2, 9, 4], 2, sampler().as_mut());
        assert_eq!(row_bits(&whole, 4), row_bits(&three, 2));
    }
}

#[test]
fn evaluations_are_counted_as_if_each_method_ran_alone() {
    let outcome = run(&[0, 1, 2], 4, &mut ddim(ClipX0::Never));
    assert_eq!(outcome.outcome.nfe, Nfe { trajectory: 10, estimator: 0, gradient: 0 });
    let nfe: Vec<u64> = outcome.methods.iter().map(|method| method.nfe.estimator).collect();
    assert_eq!(nfe, [15, 9, 8, 0]);
    let names: Vec<&str> = outcome.methods.iter().map(|method| method.method.as_str()).collect();
    assert_eq!(names, ["sample_var", "centered", "mc_dropout", "mean_squared_epsilon"]);
}

#[test]
fn score_is_the_sum_of_the_map() {
    let walked = run(&[0, 1], 8, &mut ddim(ClipX0::Unit));
    for method in &walked.methods {
        for row in 0..2 {
            let map = &method.map.as_ref().unwrap()[row];
            let sum: f64 = map.iter().map(|u| f64::from(*u)).sum();
            assert!((sum - method.score[row]).abs() < 1e-5 * sum);
        }
    }
}

#[test]
fn estimators_do_not_move_the_trajectory() {
    let mut model = gaussian();
    let samples = [SampleId(3)];
    let labels = Condition::of_classes(&initial_labels(SEED, &samples, 5));
    let x = initial_states(SEED, &samples, [3, 4, 4]);
    let mut sampler = ddim(ClipX0::Unit);
    let mut state = x.clone();
    for index in (0..N_STEPS).map(StepIndex) {
        let t = [sampler.point(index).place()];
        let input = NetworkInput { x: state.view(), t: &t, y: Some(&labels) };
        let epsilon = model.epsilon(input).unwrap();
        let mut none = |_: ArrayView4<'_, f32>, _: NoisePoint| panic!("DDIM asks nothing more");
        state = sampler.step(index, state.view(), epsilon.view(), &mut none).unwrap();
    }
    assert_eq!(run(&[3], 1, &mut ddim(ClipX0::Unit)).outcome.x0, state);
}

fn mean_and_std(x0: &Array4<f32>) -> (f64, f64) {
    let n = x0.len() as f64;
    let mean = x0.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = x0.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[test]
fn samples_of_the_gaussian_model_have_its_mean_and_spread() {
    let mut model = GaussianDenoiser::new(Array3::from_elem((1, 16, 16), 0.3), 0.4).unwrap();
    let samples: Vec<SampleId> = (0..32).map(SampleId).collect();
    let x = initial_states(SEED, &samples, [1, 16, 16]);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: None,
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    let grid = TimestepGrid::leading(1000, 200, 0).unwrap();
    let mut sampler = Ddim::new(&schedule(), &grid, ClipX0::Never, FinalAlphaBar::One).unwrap();
    let mut network = Network::new(&mut model);
    let outcome =
        run_batch(&request, &mut sampler, (&mut [], &mut |_, _| ()), None, &mut network).unwrap();
    let (mean, std) = mean_and_std(&outcome.x0);
    assert!((mean - 0.3).abs() < 0.02, "{mean}");
    assert!((std - 0.4).abs() < 0.02, "{std}");
}

/// Every sampler that a file can name, on a model of its kind of time, draws the data: `x_0 ~ N(0.3, 0.4^2)`. Evaluations are
/// counted at the network, whatever a step asks.
#[test]
fn every_sampler_draws_the_data_of_its_kind_of_model() {
    let linear =
        r#"{"kind": "linear", "beta_start": 1e-4, "beta_end": 0.02, "n_train_steps": 1000}"#;
    let (edm, flow, vp) =
        (r#"{"kind": "edm"}"#, r#"{"kind": "flow", "shift": 3}"#, r#"{"kind": "vp_continuous"}"#);
    for (schedule, sampler, n_evaluations) in [
        (linear, r#"{"kind": "ddim", "n_steps": 100, "clip_x0": "off", "eta": 1.0}"#, 100),
        (linear, r#"{"kind": "ddpm", "n_steps": 200, "clip_x0": "off"}"#, 200),
        (linear, r#"{"kind": "dpm_solver_pp_2m", "n_steps": 30}"#, 30),
        (linear, r#"{"kind": "dpm_solver_2", "n_steps": 30}"#, 59),
        (linear, r#"{"kind": "pndm", "n_steps": 100}"#, 101),
        (linear, r#"{"kind": "edm_heun", "n_steps": 30, "grid": {"kind": "trailing"}}"#, 59),
        (edm, r#"{"kind": "edm_euler", "n_steps": 100}"#, 100),
        (edm, r#"{"kind": "edm_heun", "n_steps": 18}"#, 35),
        (edm, r#"{"kind": "ddpm", "n_steps": 200, "grid": {"kind": "karras"}}"#, 200),
        (flow, r#"{"kind": "flow_euler", "n_steps": 100}"#, 100),
        (vp, r#"{"kind": "dpm_solver_2", "n_steps": 30, "grid": {"kind": "uniform"}}"#, 59),
    ] {
        let schedule: ScheduleConfig = serde_json::from_str(schedule).unwrap();
        let settings: SamplerConfig = serde_json::from_str(sampler).unwrap();
        assert_eq!(settings.faults(schedule.axis()), [], "{sampler}");
        let schedule = schedule.build().unwrap();
        let samples: Vec<SampleId> = (0..32).map(SampleId).collect();
        let walk =
            Walk { schedule: &schedule, clips: ClipX0::Never, seed: SEED, samples: &samples };
        let mut sampler_value = settings.build(&walk).unwrap();
        let mut model = GaussianDenoiser::new(Array3::from_elem((1, 16, 16), 0.3), 0.4).unwrap();
        let level = &sampler_value.point(StepIndex(0)).level;
        let starts = Starts::from_noise((SEED, &samples), model.spec(), schedule.start_std(level));
        let request = starts.request(NonZeroUsize::MAX, &|_| Ok(()));
        let mut network = Network::new(&mut model);
        let watching: (&mut [Box<dyn Estimator>], Watch<'_>) = (&mut [], &mut |_, _| ());
        let outcome =
            run_batch(&request, &mut *sampler_value, watching, None, &mut network).unwrap();
        assert_eq!(outcome.nfe.trajectory, n_evaluations, "{sampler}");
        assert_eq!(network.nfe().trajectory, 32 * n_evaluations, "{sampler}");
        let (mean, std) = mean_and_std(&outcome.x0);
        assert!((mean - 0.3).abs() < 0.03, "{sampler}: {mean}");
        assert!((std - 0.4).abs() < 0.03, "{sampler}: {std}");
    }
}

#[test]
fn a_reference_is_noised_to_its_place_and_rebuilt_from_there() {
    let means = vec![Array3::from_elem((1, 8, 8), -0.6), Array3::from_elem((1, 8, 8), 0.6)];
    let mut model = MixtureDenoiser::new(means, 0.05).unwrap();
    let samples = [SampleId(0), SampleId(1)];
    let mut sampler = ddim(ClipX0::Unit);
    let start = StepIndex(N_STEPS / 2);
    let point = sampler.point(start);
    let x0 = Array4::from_shape_fn((2, 1, 8, 8), |(b, ..)| if b == 0 { 0.6 } else { -0.6 });
    let x = noised_references(&point, &x0, (SEED, &samples));
    let noise = initial_states(SEED, &samples, [1, 8, 8]);
    let expected =
        point.a() * f64::from(x0[[1, 0, 2, 3]]) + point.s() * f64::from(noise[[1, 0, 2, 3]]);
    assert!((f64::from(x[[1, 0, 2, 3]]) - expected).abs() < 1e-6);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: None,
        x: x.view(),
        start,
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    let mut network = Network::new(&mut model);
    let outcome =
        run_batch(&request, &mut sampler, (&mut [], &mut |_, _| ()), None, &mut network).unwrap();
    assert_eq!(outcome.nfe.trajectory, 5);
    let worst = (&outcome.x0 - &x0).iter().fold(0.0_f32, |worst, d| worst.max(d.abs()));
    assert!(worst < 0.3, "{worst}");
}

#[test]
fn labels_are_uniform_on_the_classes_and_belong_to_the_sample() {
    let samples: Vec<SampleId> = (0..1000).map(SampleId).collect();
    let labels = initial_labels(SEED, &samples, 4);
    assert!((0..4).all(|class| labels.iter().filter(|l| l.0 == class).count() > 200));
    assert_eq!(initial_labels(SEED, &samples[7..8], 4), labels[7..8]);
    assert_eq!(initial_labels(SEED, &samples, 0), []);
}

fn refused(start: u32, b: usize, estimators: &mut [Box<dyn Estimator>]) -> ModelError {
    let mut model = gaussian();
    let samples = [SampleId(0)];
    let labels = Condition::of_classes(&[ClassLabel(0)]);
    let x = Array4::zeros((b, 3, 4, 4));
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: Some(&labels),
        x: x.view(),
        start: StepIndex(start),
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    let mut network = Network::new(&mut model);
    run_batch(&request, &mut ddim(ClipX0::Unit), (estimators, &mut |_, _| ()), None, &mut network)
        .unwrap_err()
}

#[test]
fn impossible_requests_are_refused_before_any_evaluation() {
    assert!(matches!(refused(0, 2, &mut []), ModelError::Shape { input: "initial state", .. }));
    let mut late: Vec<Box<dyn Estimator>> =
        vec![Box::new(MeanSquaredEpsilon::new(Window { start: 8, len: 3 }))];
    let message = refused(0, 1, &mut late).to_string();
    assert!(message.contains("window 8..=10 ends past the last step 9"), "{message}");
    let message = refused(6, 1, &mut zoo()[..1]).to_string();
    assert!(message.contains("before the first executed step 6"), "{message}");
}

/// A network that answers NaN at late steps.
struct Broken(GaussianDenoiser);

impl Denoiser for Broken {
    fn spec(&self) -> &DenoiserSpec {
        self.0.spec()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let mut epsilon = self.0.epsilon(input)?;
        if input.t[0].t < 500.0 {
            epsilon[[0, 0, 0, 0]] = f32::NAN;
        }
        Ok(epsilon)
    }
}

#[test]
fn values_that_are_not_finite_and_stops_end_the_batch_at_their_step() {
    let samples = [SampleId(0)];
    let labels = Condition::of_classes(&[ClassLabel(0)]);
    let x = initial_states(SEED, &samples, [3, 4, 4]);
    let stop = |index: StepIndex| match index.0 {
        3 => Err(ModelError::Runtime { context: "signal".to_owned(), message: "stop".to_owned() }),
        _ => Ok(()),
    };
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: Some(&labels),
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    let mut model = Broken(gaussian());
    let mut network = Network::new(&mut model);
    let mut sampler = ddim(ClipX0::Unit);
    let error = run_batch(&request, &mut sampler, (&mut [], &mut |_, _| ()), None, &mut network)
        .unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { n: 1, t: Some(400.0), .. }));
    let mut network = Network::new(&mut model);
    let request = BatchRequest { before_step: Some(&stop), ..request };
    let error = run_batch(&request, &mut sampler, (&mut [], &mut |_, _| ()), None, &mut network)
        .unwrap_err();
    assert!(error.to_string().contains("signal"));
    assert_eq!(network.nfe().trajectory, 3);
}

#[test]
fn classifier_free_guidance_costs_two_evaluations_wherever_they_are_counted() {
    let mut model = ClassifierFree::new(Box::new(gaussian()), 3.0);
    let samples = [SampleId(0), SampleId(1)];
    let conditions = Condition::of_classes(&initial_labels(SEED, &samples, 5));
    let x = initial_states(SEED, &samples, [3, 4, 4]);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: Some(&conditions),
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    let mut zoo = zoo();
    let mut keep = SummedMaps::new(&zoo, x.view());
    let mut watch = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        keep.see(context, estimates);
    };
    let (sampler, network) = (&mut ddim(ClipX0::Never), &mut Network::new(&mut model));
    let outcome = run_batch(&request, sampler, (&mut zoo, &mut watch), None, network).unwrap();
    assert_eq!(outcome.nfe, Nfe { trajectory: 20, estimator: 0, gradient: 0 });
    let nfe: Vec<u64> = keep.close().iter().map(|method| method.nfe.estimator).collect();
    assert_eq!(nfe, [30, 18, 16, 0]);
}
