//! Trajectories of the diffusers package and of the public EDM code (`scripts/golden/samplers.py`), as an experiment file
//! would ask for them.

use ndarray::{Array4, ArrayView4};
use serde_json::{Value, json};

use super::{ClipX0, Sampler, SamplerConfig, Walk};
use crate::noise::nearest_f32;
use crate::schedule::{EdmRange, NoisePoint, NoiseSchedule, TimeAxis};
use crate::units::{SampleId, StepIndex, Timestep};

const GOLDEN: &str = include_str!("../../tests/data/samplers.json");
/// Of the larger of 1 and the value. Ours are f32 states; theirs are f64.
const CLOSE: f64 = 1e-5;

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn schedule_of(case: &Value) -> NoiseSchedule {
    let range = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
    match (case["schedule"].as_str(), case["shift"].as_f64()) {
        (Some("linear"), _) => NoiseSchedule::linear(1e-4, 0.02, 1000),
        (Some("zero_snr"), _) => NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000)
            .map(NoiseSchedule::rescaled_to_zero_terminal_snr),
        (Some(_), _) => NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000),
        (None, Some(shift)) => NoiseSchedule::flow(shift, 1000),
        (None, None) => NoiseSchedule::edm(range),
    }
    .unwrap()
}

/// The settings that a file would give.
fn settings_of(case: &Value) -> SamplerConfig {
    let (kind, pixel) = (case["sampler"].as_str().unwrap(), case["schedule"] == "linear");
    let mut settings = json!({"kind": kind, "n_steps": case["n_steps"]});
    if let Some(grid) = case["grid"].as_str() {
        settings["grid"] = match grid {
            "leading" => json!({"kind": grid, "offset": u32::from(!pixel)}),
            _ => json!({"kind": grid}),
        };
    }
    if !case["churn"].is_null() {
        settings["churn"] = case["churn"].clone();
    }
    let last = if pixel { "one" } else { "first" };
    match kind {
        "ddim" | "pndm" => settings["final_alpha_bar"] = json!(last),
        "ddpm" => settings["variance"] = case["variance"].clone(),
        _ => {}
    }
    serde_json::from_value(settings).unwrap()
}

/// The stand-in for a network that the script documents, as `epsilon_hat`; `v` where the package is given that.
fn stand_in(
    x: &ArrayView4<'_, f32>,
    place: &NoisePoint,
    (axis, v): (TimeAxis, bool),
) -> Array4<f32> {
    let level = place.level;
    let total = 0.25 * level.a2() + level.s2();
    let wave = |x: f64| 0.1 * libm::sin(3.0 * x);
    x.mapv(|x| {
        let x = f64::from(x);
        if axis == TimeAxis::Flow {
            let (a, s) = (1.0 - place.t, place.t);
            let velocity = (s - 0.25 * a) * x / (0.25 * a * a + s * s) + wave(x);
            return nearest_f32((x + level.a() * velocity) / (level.a() + level.s()));
        }
        if v {
            let v = 0.75 * level.a() * level.s() * x / total + wave(x);
            return nearest_f32(level.a() * v + level.s() * x);
        }
        nearest_f32(level.s() * x / total + wave(x / (level.a2() + level.s2()).sqrt()))
    })
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < CLOSE * expected.abs().max(1.0)
}

/// Walks one case; the largest difference of a state from theirs, of the larger of 1 and the value.
fn walk(case: &Value, start: &[f32]) -> f64 {
    let (schedule, samples) = (schedule_of(case), [SampleId(0)]);
    let clips = if case["clip"] == true { ClipX0::Unit } else { ClipX0::Never };
    let axis = schedule.axis();
    let network = (axis, case["schedule"] == "zero_snr");
    let walk = Walk { schedule: &schedule, clips, seed: 3, samples: &samples };
    let mut sampler: Box<dyn Sampler> = settings_of(case).build(&walk).unwrap();
    let times = numbers(&case["timesteps"]);
    let states: Vec<Vec<f64>> = serde_json::from_value(case["states"].clone()).unwrap();
    assert_eq!(sampler.n_steps() as usize, times.len());
    let std = schedule.start_std(&sampler.point(StepIndex(0)).level);
    let mut x = Array4::from_shape_vec((1, 1, 1, start.len()), start.to_vec()).unwrap();
    x.mapv_inplace(|z| nearest_f32(std * f64::from(z)));
    let (mut told, mut worst) = (Vec::new(), 0.0_f64);
    for (index, time) in (0..).map(StepIndex).zip(&times) {
        let point = sampler.point(index);
        let scale = if axis == TimeAxis::Flow { 1000.0 } else { 1.0 };
        assert!(close(scale * point.t, *time), "{index}: {} of {time}", point.t);
        let Some(expected) = states.get(index.0 as usize) else { continue };
        told.push(scale * point.t);
        let prediction = stand_in(&x.view(), &point.place(), network);
        let mut ask = |x: ArrayView4<'_, f32>, place: NoisePoint| {
            told.push(place.t);
            Ok(stand_in(&x, &place, network))
        };
        x = sampler.step(index, x.view(), prediction.view(), &mut ask).unwrap();
        for (got, expected) in x.iter().zip(expected) {
            worst = worst.max((f64::from(*got) - expected).abs() / expected.abs().max(1.0));
        }
    }
    if !case["told"].is_null() {
        let expected = numbers(&case["told"]);
        assert_eq!(told.len(), expected.len(), "evaluations");
        assert!(told.iter().zip(&expected).all(|(t, expected)| close(*t, *expected)), "{told:?}");
    }
    worst
}

#[test]
fn trajectories_equal_those_of_diffusers_and_edm() {
    let golden = golden();
    let start: Vec<f32> = serde_json::from_value(golden["start"].clone()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 132);
    let mut failed = Vec::new();
    let mut largest = 0.0_f64;
    let mut worst = std::collections::BTreeMap::<String, f64>::new();
    for case in cases {
        let off = walk(case, &start);
        if case["held"] == false {
            // Their first level has no signal, ours 2^-8 of it: `x_0 = a x - s v` is off by that much of the state.
            largest = largest.max(off);
            continue;
        }
        let name = case["sampler"].as_str().unwrap().to_owned();
        let known = worst.entry(name).or_default();
        *known = known.max(off);
        if off > CLOSE {
            let keys = ["sampler", "schedule", "grid", "clip", "variance", "shift", "n_steps"];
            failed.push(format!("{:?}: {off:e}", keys.map(|key| &case[key])));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(worst.len(), SamplerConfig::KINDS.len(), "every sampler has a trajectory of others");
    assert!(largest > CLOSE && largest < 1.0 / 256.0, "{largest}");
    println!("largest differences: {worst:?}; where nothing of the signal is left, {largest:e}");
}

#[test]
fn schedules_equal_those_of_diffusers() {
    let golden = &golden()["schedules"];
    let plain = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
    let rescaled = plain.rescaled_to_zero_terminal_snr();
    let cosine = NoiseSchedule::squared_cosine(1000, 0.999).unwrap();
    let (alpha_bars, betas) =
        (numbers(&golden["alpha_bars"]), numbers(&golden["squared_cosine_betas"]));
    let times: Vec<u32> = serde_json::from_value(golden["times"].clone()).unwrap();
    for ((t, alpha_bar), beta) in times.into_iter().map(Timestep).zip(alpha_bars).zip(betas) {
        let got = rescaled.alpha_bar(t);
        assert!((got / alpha_bar - 1.0).abs() < 1e-9, "{t}: {got} of {alpha_bar}");
        // Theirs is an f32.
        assert!((cosine.beta(t) / beta - 1.0).abs() < 1e-6, "{t}: {} of {beta}", cosine.beta(t));
    }
}
