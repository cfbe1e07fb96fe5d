//! Samplers and estimators as a command line names them: by kind, or as an experiment writes them.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::{ConfigError, reader};
use crate::sampler::SamplerConfig;
use crate::uncertainty::EstimatorConfig;

/// Steps of a sampler for which nobody says it.
const DEFAULT_STEPS: u32 = 50;

/// A sampler: `ddim`, or `{kind: ddim, n_steps: 20, eta: 1.0}`. `n_steps` wins over what the text says; with neither it is
/// 50. `option` names the text in errors.
///
/// # Errors
/// [`ConfigError::Syntax`] for what is no sampler.
///
/// # Examples
/// ```
/// use dubench::config::snippet;
///
/// assert_eq!(snippet::sampler("--sampler", "ddim", None)?.n_steps(), 50);
/// assert_eq!(snippet::sampler("--sampler", "{kind: ddim, n_steps: 20}", None)?.n_steps(), 20);
/// assert_eq!(snippet::sampler("--sampler", "{kind: ddim, n_steps: 20}", Some(5))?.n_steps(), 5);
/// # Ok::<(), dubench::config::ConfigError>(())
/// ```
pub fn sampler(
    option: &str,
    text: &str,
    n_steps: Option<u32>,
) -> Result<SamplerConfig, ConfigError> {
    let mut fields = fields(option, text)?;
    let key = Value::from("n_steps");
    match n_steps {
        Some(n_steps) => drop(fields.insert(key, n_steps.into())),
        None if !fields.contains_key(&key) => drop(fields.insert(key, DEFAULT_STEPS.into())),
        None => (),
    }
    typed(option, fields)
}

/// An estimator: `sample_var`, or `{kind: mc_dropout, p: 0.1}`.
///
/// # Errors
/// [`ConfigError::Syntax`] for what is no estimator.
pub fn estimator(option: &str, text: &str) -> Result<EstimatorConfig, ConfigError> {
    typed(option, fields(option, text)?)
}

fn fields(option: &str, text: &str) -> Result<Mapping, ConfigError> {
    match reader::parse::<Value>(Path::new(option), text)? {
        Value::Mapping(fields) => Ok(fields),
        Value::String(kind) => Ok([(Value::from("kind"), Value::from(kind))].into_iter().collect()),
        _ => Err(syntax(option, format!("`{text}`: expected a kind, or {{kind: .., ..}}"))),
    }
}

fn typed<T: DeserializeOwned>(option: &str, fields: Mapping) -> Result<T, ConfigError> {
    serde_yaml::from_value(Value::Mapping(fields))
        .map_err(|error| syntax(option, error.to_string()))
}

fn syntax(option: &str, message: String) -> ConfigError {
    ConfigError::Syntax { path: option.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_lists_what_there_is_and_names_the_option() {
        let message = sampler("--sampler", "dimm", None).unwrap_err().to_string();
        assert!(message.starts_with("--sampler") && message.contains("`ddim`"), "{message}");
        let message = estimator("--estimator", "{kind: sample_var, m: 5}").unwrap_err().to_string();
        assert!(message.contains("unknown field `m`"), "{message}");
        let message = estimator("--estimator", "[1, 2]").unwrap_err().to_string();
        assert!(message.contains("expected a kind"), "{message}");
    }

    #[test]
    fn an_estimator_has_its_settings() {
        let config = estimator("--estimator", "{kind: sample_var, n_draws: 7}").unwrap();
        assert_eq!((config.kind(), config.given().n_draws), ("sample_var", Some(7)));
    }
}
