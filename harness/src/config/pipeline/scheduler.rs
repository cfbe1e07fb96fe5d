//! `scheduler/scheduler_config.json`: noise schedule, what the network predicts, and the sampler that the pipeline names.

use std::path::Path;

use serde_json::json;

use super::classes;
use super::json::read_object;
use super::keys::Keys;
use crate::config::{ConfigError, Prediction};
use crate::fault::Fault;
use crate::sampler::SamplerConfig;
use crate::schedule::ScheduleConfig;

/// A scheduler of diffusers in our words.
///
/// # Examples
/// ```
/// use dubench::config::Scheduler;
/// let text = r#"{"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
///     "beta_end": 0.012, "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1}"#;
/// let scheduler = Scheduler::of(&serde_json::from_str(text)?).map_err(|faults| format!("{faults:?}"))?;
/// assert_eq!(scheduler.sampler.label(), "ddim-50");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    /// Noise schedule of training.
    pub schedule: ScheduleConfig,
    /// What the network predicts.
    pub prediction: Prediction,
    /// The sampler that the file names, with 50 steps.
    pub sampler: SamplerConfig,
}

impl Scheduler {
    /// Reads `scheduler/scheduler_config.json` of a pipeline.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that is missing, for a class that has no sampler here, and for keys that are not
    /// understood and would change the result, each by name.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let object = read_object(path)?;
        Self::of(&object).map_err(|faults| ConfigError::Invalid { path: path.to_owned(), faults })
    }

    /// The scheduler of a file's keys.
    ///
    /// # Errors
    /// Every key that is not understood and would change the result.
    pub fn of(object: &serde_json::Map<String, serde_json::Value>) -> Result<Self, Vec<Fault>> {
        let mut keys = Keys::new(object);
        let class = keys.word("_class_name", "").to_owned();
        let found = match class.as_str() {
            "DDIMScheduler" => discrete(&mut keys, classes::ddim),
            "PNDMScheduler" => discrete(&mut keys, classes::pndm),
            "DPMSolverMultistepScheduler" => discrete(&mut keys, classes::dpm_solver),
            "EulerDiscreteScheduler" => discrete(&mut keys, classes::euler),
            "FlowMatchEulerDiscreteScheduler" => {
                let (schedule, sampler) = classes::flow(&mut keys);
                Self { schedule, prediction: Prediction::Velocity, sampler }
            }
            other => {
                let message = format!(
                    "is {other:?}, and has no sampler here: DDIMScheduler, PNDMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler and FlowMatchEulerDiscreteScheduler are read"
                );
                return Err(vec![Fault::new("_class_name", message)]);
            }
        };
        let faults = keys.close(&class);
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }
}

/// What is common to schedulers over training steps.
fn discrete(keys: &mut Keys<'_>, sampler: impl Fn(&mut Keys<'_>) -> SamplerConfig) -> Scheduler {
    let schedule = betas(keys);
    let prediction = match keys.word("prediction_type", "epsilon") {
        "epsilon" => Prediction::Epsilon,
        "v_prediction" => Prediction::V,
        "sample" => Prediction::X0,
        other => {
            let message = format!("is {other:?}, expected epsilon, v_prediction or sample");
            keys.faults.push(Fault::new("prediction_type", message));
            Prediction::Epsilon
        }
    };
    keys.only("thresholding", json!(false), &json!(false), "turn dynamic thresholding off");
    let sampler = sampler(keys);
    keys.idle(&classes::ELSEWHERE);
    Scheduler { schedule, prediction, sampler }
}

fn betas(keys: &mut Keys<'_>) -> ScheduleConfig {
    let n_train_steps = keys.count("num_train_timesteps", 1000);
    let (beta_start, beta_end) = (keys.number("beta_start", 1e-4), keys.number("beta_end", 0.02));
    let kind = keys.word("beta_schedule", "linear");
    let rescale_zero_terminal_snr = keys.flag("rescale_betas_zero_snr", false);
    if let Some(betas) = keys.numbers("trained_betas") {
        return ScheduleConfig::Betas { betas, rescale_zero_terminal_snr };
    }
    match kind {
        "linear" => ScheduleConfig::Linear {
            beta_start,
            beta_end,
            n_train_steps,
            rescale_zero_terminal_snr,
        },
        "scaled_linear" => ScheduleConfig::ScaledLinear {
            beta_start,
            beta_end,
            n_train_steps,
            rescale_zero_terminal_snr,
        },
        "squaredcos_cap_v2" => ScheduleConfig::SquaredCosine {
            n_train_steps,
            max_beta: 0.999,
            rescale_zero_terminal_snr,
        },
        other => {
            let message =
                format!("is {other:?}, expected linear, scaled_linear or squaredcos_cap_v2");
            keys.faults.push(Fault::new("beta_schedule", message));
            ScheduleConfig::Linear {
                beta_start,
                beta_end,
                n_train_steps,
                rescale_zero_terminal_snr,
            }
        }
    }
}
