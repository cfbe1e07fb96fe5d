//! The classes of schedulers that have a sampler here, with the defaults that their keys have in diffusers 0.3x.

use serde_json::json;

use super::keys::Keys;
use crate::fault::Fault;
use crate::sampler::{
    Clip, DdimSettings, DpmSolverPp2mSettings, EdmEulerSettings, FinalAlphaBar, FlowEulerSettings,
    PndmSettings, SamplerConfig,
};
use crate::schedule::{GridConfig, ScheduleConfig};

/// Steps where nobody says another number.
const N_STEPS: u32 = 50;

/// Keys of the other classes, which each class ignores, and keys that go with one that is off.
pub(super) const ELSEWHERE: [&str; 24] = [
    "clip_sample",
    "clip_sample_range",
    "set_alpha_to_one",
    "skip_prk_steps",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "variance_type",
    "solver_order",
    "solver_type",
    "algorithm_type",
    "lower_order_final",
    "euler_at_final",
    "final_sigmas_type",
    "lambda_min_clipped",
    "flow_shift",
    "time_shift_type",
    "interpolation_type",
    "timestep_type",
    "sigma_min",
    "sigma_max",
    "steps_offset",
    "timestep_spacing",
    "use_karras_sigmas",
    "use_exponential_sigmas",
];

const OFF: &str = "turn it off, or name a sampler in the experiment";

/// `timestep_spacing` in our words; `linspace` is what the class means by that word.
fn grid(keys: &mut Keys<'_>, default: &'static str, linspace: Option<GridConfig>) -> GridConfig {
    let offset = keys.count("steps_offset", 0);
    match (keys.word("timestep_spacing", default), linspace) {
        ("leading", _) => GridConfig::Leading { offset },
        ("trailing", _) => GridConfig::Trailing {},
        ("linspace", Some(grid)) => grid,
        (other, _) => {
            let message = format!(
                "is {other:?}, which has no grid of this scheduler here: write leading or trailing"
            );
            keys.faults.push(Fault::new("timestep_spacing", message));
            GridConfig::Leading { offset }
        }
    }
}

fn end(keys: &mut Keys<'_>, default: bool) -> FinalAlphaBar {
    if keys.flag("set_alpha_to_one", default) {
        FinalAlphaBar::One
    } else {
        FinalAlphaBar::FirstTrainStep
    }
}

/// `DDIMScheduler`: DDIM with `eta = 0`, which is what pipelines ask for.
pub(super) fn ddim(keys: &mut Keys<'_>) -> SamplerConfig {
    let clips = "latents are not clipped: set it to false";
    keys.only("clip_sample", json!(true), &json!(false), clips);
    SamplerConfig::Ddim(DdimSettings {
        n_steps: N_STEPS,
        grid: grid(keys, "leading", Some(GridConfig::DdimLinspace {})),
        clip_x0: Clip::Off,
        final_alpha_bar: end(keys, true),
        eta: 0.0,
    })
}

/// `PNDMScheduler` without its Runge-Kutta start, as all pipelines have it.
pub(super) fn pndm(keys: &mut Keys<'_>) -> SamplerConfig {
    let start = "its start by Runge-Kutta steps has no sampler here";
    keys.only("skip_prk_steps", json!(false), &json!(true), start);
    SamplerConfig::Pndm(PndmSettings {
        n_steps: N_STEPS,
        grid: grid(keys, "leading", Some(GridConfig::DdimLinspace {})),
        final_alpha_bar: end(keys, false),
    })
}

/// `DPMSolverMultistepScheduler`: DPM-Solver++(2M) in its midpoint form.
pub(super) fn dpm_solver(keys: &mut Keys<'_>) -> SamplerConfig {
    let other = "only DPM-Solver++(2M), midpoint, has a sampler here";
    keys.only("solver_order", json!(2), &json!(2), other);
    keys.only("algorithm_type", json!("dpmsolver++"), &json!("dpmsolver++"), other);
    keys.only("solver_type", json!("midpoint"), &json!("midpoint"), other);
    keys.only(
        "lower_order_final",
        json!(true),
        &json!(true),
        "the last step is of first order here",
    );
    keys.only(
        "final_sigmas_type",
        json!("zero"),
        &json!("zero"),
        "the last step ends without noise here",
    );
    for key in [
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_lu_lambdas",
        "use_flow_sigmas",
    ] {
        keys.only(key, json!(false), &json!(false), OFF);
    }
    let unclipped = json!("-Infinity");
    keys.only(
        "lambda_min_clipped",
        unclipped.clone(),
        &unclipped,
        "write -Infinity, or leave it out",
    );
    if keys.word("timestep_spacing", "linspace") == "leading" {
        let message =
            "is leading, which this solver takes over N + 1 steps: write linspace or trailing";
        keys.faults.push(Fault::new("timestep_spacing", message));
    }
    let grid = grid(keys, "linspace", Some(GridConfig::DpmLinspace {}));
    SamplerConfig::DpmSolverPp2m(DpmSolverPp2mSettings { n_steps: N_STEPS, grid })
}

/// `EulerDiscreteScheduler` without churn: Euler steps of the probability flow over the same training steps.
///
/// # Why is `linspace` refused?
/// There its walk begins at noise of standard deviation `s` and asks between training steps; ours begins at 1.
pub(super) fn euler(keys: &mut Keys<'_>) -> SamplerConfig {
    for key in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        keys.only(key, json!(false), &json!(false), OFF);
    }
    keys.only(
        "final_sigmas_type",
        json!("zero"),
        &json!("zero"),
        "the last step ends without noise here",
    );
    keys.only("timestep_type", json!("discrete"), &json!("discrete"), OFF);
    let spacing = keys.word("timestep_spacing", "linspace");
    if spacing != "leading" {
        let message = format!(
            "is {spacing:?}, where this walk begins at noise of another strength than ours: write leading, or take DDIMScheduler"
        );
        keys.faults.push(Fault::new("timestep_spacing", message));
    }
    let offset = keys.count("steps_offset", 0);
    SamplerConfig::EdmEuler(EdmEulerSettings {
        churn: None,
        n_steps: N_STEPS,
        grid: GridConfig::Leading { offset },
    })
}

/// `FlowMatchEulerDiscreteScheduler`: a rectified flow, its times drawn to noise by `shift`.
pub(super) fn flow(keys: &mut Keys<'_>) -> (ScheduleConfig, SamplerConfig) {
    let n_train_steps = keys.count("num_train_timesteps", 1000);
    let shift = keys.number("shift", 1.0);
    for key in [
        "use_dynamic_shifting",
        "invert_sigmas",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "stochastic_sampling",
    ] {
        keys.only(key, json!(false), &json!(false), OFF);
    }
    // They go with dynamic shifting.
    keys.idle(&[
        "base_shift",
        "max_shift",
        "base_image_seq_len",
        "max_image_seq_len",
        "time_shift_type",
    ]);
    let sampler = SamplerConfig::FlowEuler(FlowEulerSettings { n_steps: N_STEPS });
    (ScheduleConfig::Flow { shift, n_train_steps }, sampler)
}
