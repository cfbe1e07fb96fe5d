//! Values that every second pass looks at: names, sizes, samplers, windows, estimators.

use super::{
    AnalyticConfig, Defaults, EstimatorConfig, Fault, GridConfig, ModelConfig, SamplerConfig,
};
use crate::uncertainty::Window;

/// Images of a plan, at most: ten million.
pub(super) const MAX_POOL: u64 = 10_000_000;

/// Training times of a schedule, at most: all of them are held in memory.
pub(super) const MAX_TRAIN_STEPS: u32 = 1_000_000;

/// Side of an image, at most.
pub(super) const MAX_SIDE: usize = 8192;

/// Names become folder names, so they are kept plain.
pub(super) fn name(key: &str, value: &str, faults: &mut Vec<Fault>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if value.is_empty() || value.len() > 64 || !value.chars().all(plain) {
        let message = format!("{value:?} cannot name a folder: use 1 to 64 of a-z, 0-9, '-', '_'");
        faults.push(Fault::new(key, message));
    }
}

/// Steps and grid of a sampler.
pub(super) fn sampler_steps(
    key: &str,
    sampler: &SamplerConfig,
    model: &ModelConfig,
    faults: &mut Vec<Fault>,
) {
    let n_steps = sampler.n_steps();
    // A bundle's own number of training times is checked when it is opened.
    let most = match model {
        ModelConfig::Analytic(AnalyticConfig { schedule, .. }) => schedule.n_train_steps(),
        ModelConfig::Bundle { .. } => MAX_TRAIN_STEPS,
    };
    if n_steps == 0 || n_steps > most {
        let message = format!("{n_steps} steps over {most} training times: use 1..={most}");
        faults.push(Fault::new(format!("{key}.n_steps"), message));
    }
    let (SamplerConfig::Ddim { grid, .. } | SamplerConfig::DpmSolverPp2m { grid, .. }) = sampler;
    if let (GridConfig::Leading { offset }, ModelConfig::Analytic(gaussian)) = (grid, model)
        && let schedule = &gaussian.schedule
        && *offset >= schedule.n_train_steps() / n_steps.max(1)
    {
        let message = format!(
            "offset {offset} moves the first step past the last training time: set {} or less",
            (schedule.n_train_steps() / n_steps.max(1)).saturating_sub(1)
        );
        faults.push(Fault::new(format!("{key}.grid.offset"), message));
    }
}

/// A window that lies in the steps of its sampler.
pub(super) fn window(key: &str, window: Window, n_steps: u32, faults: &mut Vec<Fault>) {
    let key = format!("{key}.window");
    if window.len == 0 {
        faults
            .push(Fault::new(key, "a window of 0 steps sees nothing: set window.len to 1 or more"));
        return;
    }
    let end = u64::from(window.start) + u64::from(window.len);
    if end <= u64::from(n_steps) {
        return;
    }
    let remedy = match n_steps.saturating_sub(window.start) {
        0 => format!("set window.start to {} or less", n_steps.saturating_sub(1)),
        room => format!("set window.len to {room} or less"),
    };
    let message = format!(
        "window {}..={} ends past the last step {}: {remedy}",
        window.start,
        end - 1,
        n_steps.saturating_sub(1),
    );
    faults.push(Fault::new(key, message));
}

/// Names, draws and dropout of estimators.
pub(super) fn estimator_list(
    key: &str,
    estimators: &[EstimatorConfig],
    defaults: &Defaults,
    faults: &mut Vec<Fault>,
) {
    for (index, estimator) in estimators.iter().enumerate() {
        let key = format!("{key}[{index}]");
        name(&format!("{key}.name"), estimator.name(), faults);
        let n_draws = estimator.n_draws().unwrap_or(defaults.n_draws);
        if !(2..=1024).contains(&n_draws) {
            let message = format!("a variance needs 2 draws or more (at most 1024), got {n_draws}");
            faults.push(Fault::new(format!("{key}.n_draws"), message));
        }
        if let EstimatorConfig::McDropout { p: Some(p), .. } = estimator
            && !(*p > 0.0 && *p < 1.0)
        {
            let message = format!("dropout probability {p} is not inside (0, 1)");
            faults.push(Fault::new(format!("{key}.p"), message));
        }
    }
}
