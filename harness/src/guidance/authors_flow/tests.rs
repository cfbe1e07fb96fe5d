//! The released rule of flows against its formula, element by element.

use std::num::NonZeroUsize;

use ndarray::{Array3, Array4};

use super::*;
use crate::guidance::RuleConfig;
use crate::model::analytic::MixtureDenoiser;
use crate::sampler::StepPoint;
use crate::schedule::{NoisePoint, NoiseSchedule};
use crate::uncertainty::{
    CleanEstimate, Perturbation, draws_of, perturbed_states, variance_over_draws,
};
use crate::units::{SampleId, StepIndex};

const SAMPLES: [SampleId; 1] = [SampleId(3)];

/// Two images that differ in every element, by so little that neither is certain.
fn mixture() -> MixtureDenoiser {
    let image = |sign: f32| {
        Array3::from_shape_fn((1, 2, 3), |(_, i, j)| 0.3 * i as f32 + sign * (0.3 + 0.1 * j as f32))
    };
    MixtureDenoiser::new(vec![image(1.0), image(-1.0)], 0.25).unwrap()
}

fn rule(lambda: f64) -> Box<dyn Guidance> {
    let text =
        format!(r#"{{"kind": "authors_flow_gradient", "lambda": {lambda}, "percentile": 0.0}}"#);
    let rule: RuleConfig = serde_json::from_str(&text).unwrap();
    let schedule = NoiseSchedule::flow(3.0, 1000).unwrap();
    rule.resolved(4, None)
        .guidance(None, &Path { schedule: &schedule, clip: ClipX0::Never })
        .unwrap()
}

/// What the rule sees at a time of the flow, and what it makes of it, as velocities.
fn guided(sigma: f64, lambda: f64) -> (StepPoint, [Array4<f32>; 3]) {
    let mut model = mixture();
    let point = StepPoint::new(StepIndex(2), NoiseSchedule::flow(3.0, 1000).unwrap().place(sigma));
    let x = Array4::from_shape_fn((1, 1, 2, 3), |(_, _, i, j)| (1.3 * i as f32 + j as f32).sin());
    let t = [point.place()];
    let epsilon = model.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
    let x0_hat = x0_from_epsilon(&point, &x, &epsilon, ClipX0::Never);
    let context = StepContext {
        point,
        x: x.view(),
        epsilon: epsilon.view(),
        x0_hat: x0_hat.view(),
        samples: &SAMPLES,
        conditions: None,
        seed: 5,
        max_batch: NonZeroUsize::new(8).unwrap(),
    };
    let moved = rule(lambda).rewrite(&context, &mut Network::new(&mut model)).unwrap();
    let level = point.place().level;
    let [before, after] = [&epsilon, &moved].map(|e| velocity(e.view(), x.view(), &level));
    (point, [x, before, after])
}

/// Sum of the variance of velocities over draws, as a function of the trajectory's own velocity `u`.
fn total(point: StepPoint, x: &Array4<f32>, u: &Array4<f32>, place: NoisePoint) -> f64 {
    let mut model = mixture();
    let point = point.with_level(NoiseLevel::variance_preserving(place.t));
    let x0_hat = x0_from_epsilon(&point, x, u, ClipX0::Never);
    let context = StepContext {
        point,
        x: x.view(),
        epsilon: u.view(),
        x0_hat: x0_hat.view(),
        samples: &SAMPLES,
        conditions: None,
        seed: 5,
        max_batch: NonZeroUsize::new(8).unwrap(),
    };
    let clean = CleanEstimate::FollowSampler;
    let states = perturbed_states(&context, Perturbation { n_draws: 4, clean });
    let t = vec![place; 4];
    let e = model.epsilon(NetworkInput { x: states.view(), t: &t, y: None }).unwrap();
    let u = velocity(e.view(), states.view(), &place.level);
    variance_over_draws(&draws_of(&u, 1)).iter().map(|u| f64::from(*u)).sum()
}

#[test]
fn velocities_move_along_the_slope_of_the_variance_of_velocities() {
    let (point, [x, before, after]) = guided(0.6, 1.0);
    let place = point.place();
    let mut n_moved = 0;
    for at in ndarray::indices(before.raw_dim()) {
        let step = f64::from(after[at] - before[at]);
        if step == 0.0 {
            continue;
        }
        n_moved += 1;
        let shifted = |h: f32| {
            let mut u = before.clone();
            u[at] += h;
            total(point, &x, &u, place)
        };
        let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
        // In f64 the difference is within 1e-5 of that of a tenth of its step; the rest is f32.
        assert!((step - slope).abs() < 1e-3, "{at:?}: {step} {slope}");
        assert!(slope.abs() > 5e-3, "{at:?}: nothing to see in {slope}");
    }
    // All but the least of the map, which a quantile of 0 leaves out.
    assert_eq!(n_moved, 5);
}

#[test]
fn nothing_moves_at_the_first_step_and_what_does_not_move_keeps_its_bits() {
    let (_, [.., before, after]) = guided(1.0, 1.0);
    assert_eq!(before, after);
    let (_, [.., before, after]) = guided(0.6, 0.0);
    assert_eq!(before, after);
}

#[test]
fn a_model_that_is_no_flow_is_refused() {
    let rule: RuleConfig = serde_json::from_str(r#"{"kind": "authors_flow_gradient"}"#).unwrap();
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    let path = Path { schedule: &schedule, clip: ClipX0::Never };
    let Err(error) = rule.resolved(5, None).guidance(None, &path) else { panic!("no flow") };
    assert!(error.to_string().contains("authors_flow_gradient"), "{error}");
    assert!(error.to_string().contains("use gradient"), "{error}");
}
