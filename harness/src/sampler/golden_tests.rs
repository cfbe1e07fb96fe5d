//! Trajectories of the diffusers package (`scripts/golden/samplers.py`).

use ndarray::Array4;
use serde_json::Value;

use super::{ClipX0, Ddim, DpmSolverPp2m, FinalAlphaBar, Sampler};
use crate::noise::nearest_f32;
use crate::schedule::{NoiseSchedule, TimestepGrid};
use crate::units::StepIndex;

const GOLDEN: &str = include_str!("../../tests/data/samplers.json");
/// Absolute and relative; the reference computes in f32 with f32 schedules.
const CLOSE: f64 = 2e-5;

fn sampler_of(case: &Value) -> Box<dyn Sampler> {
    let n_steps = u32::try_from(case["n_steps"].as_u64().unwrap()).unwrap();
    let pixel = case["schedule"] == "linear";
    let schedule = if pixel {
        NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
    } else {
        NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap()
    };
    if case["sampler"] == "dpm_pp_2m" {
        let grid = TimestepGrid::linspace(1000, n_steps).unwrap();
        return Box::new(DpmSolverPp2m::new(&schedule, &grid).unwrap());
    }
    let clip = if case["clip"] == true { ClipX0::Unit } else { ClipX0::Never };
    let end = if pixel { FinalAlphaBar::One } else { FinalAlphaBar::FirstTrainStep };
    let grid = TimestepGrid::leading(1000, n_steps, u32::from(!pixel)).unwrap();
    Box::new(Ddim::new(&schedule, &grid, clip, end).unwrap())
}

/// The stand-in for a network that the script documents.
fn epsilon(x: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    let s2 = 1.0 - alpha_bar;
    x.mapv(|x| {
        let x = f64::from(x);
        nearest_f32(s2.sqrt() * x / (0.25 * alpha_bar + s2) + 0.1 * libm::sin(3.0 * x))
    })
}

#[test]
fn trajectories_equal_those_of_diffusers() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let start: Vec<f32> = serde_json::from_value(golden["start"].clone()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let mut sampler = sampler_of(case);
        let times: Vec<u32> = serde_json::from_value(case["timesteps"].clone()).unwrap();
        let states: Vec<Vec<f64>> = serde_json::from_value(case["states"].clone()).unwrap();
        assert_eq!(sampler.n_steps() as usize, times.len());
        let mut x = Array4::from_shape_vec((1, 1, 1, start.len()), start.clone()).unwrap();
        for (index, (t, state)) in (0..).map(StepIndex).zip(times.iter().zip(&states)) {
            let point = sampler.point(index);
            assert_eq!(point.t.0, *t);
            let prediction = epsilon(&x, point.alpha_bar);
            x = sampler.step(index, x.view(), prediction.view());
            for (got, expected) in x.iter().zip(state) {
                let off = (f64::from(*got) - expected).abs();
                assert!(
                    off < CLOSE * (1.0 + expected.abs()),
                    "{} {} {} at {index}: {got}, expected {expected}",
                    case["sampler"],
                    case["schedule"],
                    case["n_steps"]
                );
            }
        }
    }
}
