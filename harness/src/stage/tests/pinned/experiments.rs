//! The experiments whose digits are pinned.

use ndarray::{Array3, Array4};

use super::adapter::{DPM_SOLVER, UNGUIDED};
use crate::model::Denoiser;
use crate::model::analytic::MixtureDenoiser;
use crate::schedule::NoiseSchedule;

const LINEAR: &str = "{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}";

/// What all experiments begin with: the Gaussian in closed form under a schedule and a sampler.
fn head(schedule: &str, more: &str, sampler: &str) -> String {
    format!(
        "name: pinned
question: Has a digit moved?
artefact: none
model:
  kind: analytic
  shape: [3, 8, 8]
  mean: 0.1
  std: 0.5
{more}  schedule: {schedule}
sampler: {sampler}
seed: 7
"
    )
}

const FEATURES: &str = "features: {kind: pixels, grid: 2}
reference: {dataset: toy, path: reference.npz}
";

/// Every grid, with a name.
const GRIDS: [(&str, &str); 3] = [
    ("leading", "{kind: leading}"),
    ("leading + 1", "{kind: leading, offset: 1}"),
    ("linspace", "{kind: dpm_linspace}"),
];

/// Every variant of every sampler, with a name.
pub(super) fn samplers() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (grid_name, grid) in GRIDS {
        for clip in ["follow_model", "off"] {
            for last in ["one", "first"] {
                all.push((
                    format!("ddim, {grid_name}, clip {clip}, final {last}"),
                    format!(
                        "{{kind: ddim, n_steps: 8, grid: {grid}, clip_x0: \"{clip}\", final_alpha_bar: {last}}}"
                    ),
                ));
            }
        }
        all.push((
            format!("dpm-solver++(2m), {grid_name}"),
            format!("{{kind: {DPM_SOLVER}, n_steps: 8, grid: {grid}}}"),
        ));
    }
    // Some of these times are halves before they are rounded.
    all.push((
        "dpm-solver++(2m), linspace, 18 steps".to_owned(),
        format!("{{kind: {DPM_SOLVER}, n_steps: 18}}"),
    ));
    all
}

/// Schedules besides the linear one, with a name.
pub(super) const SCHEDULES: [(&str, &str); 2] = [
    (
        "scaled linear",
        "{kind: scaled_linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}",
    ),
    ("cosine", "{kind: cosine, n_train_steps: 1000}"),
];

/// One trajectory of a model with classes. `epsilon_hat` at all of its steps is in the score of the last method.
pub(super) fn sampling(schedule: Option<&str>, sampler: &str) -> String {
    let head = head(schedule.unwrap_or(LINEAR), "  classes: 3\n", sampler);
    format!(
        "{head}{FEATURES}estimators:
  - {{kind: sample_var, n_draws: 3, window: {{start: 2, len: 2}}}}
controls:
  - {{kind: mean_squared_epsilon, window: {{start: 0, len: 8}}}}
protocol: {{kind: filtering, n_random: 50}}
scales:
  smoke: {{n_pool: 5, n_keep: 4, block_size: 5, batch_size: 5}}
"
    )
}

/// Every estimator and control, on a model with dropout.
pub(super) fn estimators(sampler: &str) -> String {
    let head = head(LINEAR, "  dropout: true\n", sampler);
    format!(
        "{head}{FEATURES}estimators:
  - {{kind: sample_var, n_draws: 3, window: {{start: 2, len: 3}}}}
  - {{kind: sample_var, name: last_step, n_draws: 2, window: {{start: 7, len: 1}}}}
  - {{kind: centered, n_draws: 3, window: {{start: 2, len: 3}}}}
  - {{kind: mc_dropout, p: 0.1, n_draws: 3, window: {{start: 5, len: 2}}}}
  - {{kind: mc_dropout, name: mc_dropout_p50, p: 0.5, n_draws: 2, window: {{start: 0, len: 8}}}}
controls:
  - {{kind: total_variation}}
  - {{kind: mean_squared_epsilon, window: {{start: 4, len: 4}}}}
protocol: {{kind: filtering, n_random: 50}}
scales:
  smoke: {{n_pool: 5, n_keep: 4, block_size: 5, batch_size: 5}}
"
    )
}

/// Every rule whose mask looks at the map at hand.
pub(super) const RULES: [(&str, &str); 9] = [
    ("gradient", "{kind: gradient}"),
    ("descent", "{kind: gradient, direction: descent, lambda: 0.3}"),
    ("median", "{kind: gradient, percentile: 0.5, n_draws: 5, window: {start: 1, len: 2}}"),
    ("posterior", "{kind: posterior}"),
    ("posterior_window", "{kind: posterior, percentile: 0.5, window: {start: 2, len: 3}}"),
    ("second_order", "{kind: second_order, lambda: 0.5, window: {start: 0, len: 3}}"),
    ("authors_gradient", "{kind: authors_gradient}"),
    ("authors_gradient_strong", "{kind: authors_gradient, lambda: 1.0, batch_size: 4}"),
    ("authors_posterior", "{kind: authors_posterior}"),
];

/// Rules whose mask takes thresholds of a generated set.
pub(super) const MASKED_RULES: [(&str, &str); 6] = [
    ("gradient_pixel", "{kind: gradient, mask: {kind: dataset_pixel}}"),
    ("gradient_scalar", "{kind: gradient, mask: {kind: dataset_scalar}}"),
    ("gradient_pixel_m6", "{kind: gradient, mask: {kind: dataset_pixel, n_draws: 6, n_images: 8}}"),
    ("posterior_pixel", "{kind: posterior, percentile: 0.9, mask: {kind: dataset_pixel}}"),
    ("posterior_scalar", "{kind: posterior, mask: {kind: dataset_scalar}}"),
    (
        "second_order_scalar",
        "{kind: second_order, lambda: 0.5, window: {start: 0, len: 3}, mask: {kind: dataset_scalar}}",
    ),
];

/// The same starts, without guidance (the first block) and under each of `rules`.
pub(super) fn guided(rules: &[(&str, &str)], sampler: &str) -> String {
    let head = head(LINEAR, "", sampler);
    let arms = rules.iter().map(|(name, rule)| format!("    - {{name: {name}, rule: {rule}}}\n"));
    let arms: String = arms.collect();
    let set = if arms.contains("dataset") { ", n_threshold_images: 12" } else { "" };
    format!(
        "{head}{FEATURES}protocol:
  kind: guidance
  arms:
    - {UNGUIDED}
{arms}scales:
  smoke: {{n_pool: 4, block_size: 4, batch_size: 4, n_draws: 3{set}}}
"
    )
}

/// Noise levels of a reconstruction, in the order of the arms.
pub(super) const NOISE: [&str; 3] = ["match", "half_t", "authors_code"];

/// Reconstructions of [`images`] from every noise level.
pub(super) fn reconstructed(sampler: &str) -> String {
    let head = head(LINEAR, "  dropout: true\n", sampler);
    let arms = NOISE.map(|noise| format!("    - {{name: {noise}, noise: {noise}}}\n"));
    format!(
        "{head}estimators:
  - {{kind: sample_var}}
  - {{kind: centered}}
  - {{kind: mc_dropout, p: 0.1}}
protocol:
  kind: reconstruction
  images: images.npz
  late: {{first: 400, last: 100}}
  arms:
{}scales:
  smoke: {{n_pool: 4, n_subset: 4, block_size: 4, batch_size: 4, n_draws: 3}}
",
        arms.concat()
    )
}

/// Four images of 8 x 8, `[n, h, w, 3]`, with a bright square each.
pub(super) fn images() -> Array4<u8> {
    Array4::from_shape_fn((4, 8, 8, 3), |(i, y, x, c)| {
        let inside = (2..5).contains(&y) && (1 + i..5 + i).contains(&x);
        u8::try_from(60 + 20 * c + 7 * ((x * y + i) % 5) + if inside { 100 } else { 0 }).unwrap()
    })
}

/// A mixture of three Gaussians in the place of one: its Jacobian is not constant, so the gradient of a variance is not zero.
pub(super) fn mixture(_: Box<dyn Denoiser>, _: &NoiseSchedule) -> Box<dyn Denoiser> {
    let mean = |k: usize| {
        Array3::from_shape_fn((3, 8, 8), |(c, y, x)| {
            let level = u8::try_from((7 * c + 3 * y + 5 * x + 11 * k) % 17).unwrap();
            f32::from(level) / 16.0 - 0.5
        })
    };
    let means = (0..3).map(mean).collect();
    Box::new(MixtureDenoiser::new(means, 0.5).unwrap())
}
