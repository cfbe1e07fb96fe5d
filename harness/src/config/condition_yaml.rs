//! What a network is conditioned on beside the time, and classifier-free guidance by it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::fault::Fault;

/// The values of one more input of a network, from a `.npy` of the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionYaml {
    /// File in the bundle: `[1, ..]`, the same for every sample, or `[n, ..]`, row `id % n` for each sample id.
    pub file: String,
    /// What stands for "no condition" in classifier-free guidance; where left out, guidance leaves the input as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<NullYaml>,
}

/// "No condition": exactly one of the three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullYaml {
    /// A class of its own, of a network with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<u32>,
    /// A file in the bundle, `[1, ..]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zeros: Option<bool>,
}

impl NullYaml {
    /// What is wrong with it, at `key`.
    pub(super) fn fault(&self, key: &str) -> Option<Fault> {
        let given = [self.label.is_some(), self.file.is_some(), self.zeros == Some(true)];
        let n = given.iter().filter(|given| **given).count();
        let message = "expected one of {label: CLASS}, {file: NAME.npy}, {zeros: true}";
        (n != 1 || self.zeros == Some(false)).then(|| Fault::new(key, message))
    }
}

/// Classifier-free guidance (Eq. 6, arXiv:2207.12598): `epsilon = epsilon_null + scale (epsilon_cond - epsilon_null)`.
///
/// # Examples
/// ```
/// use dubench::config::CfgYaml;
/// let cfg: CfgYaml = serde_json::from_str(r#"{"scale": 4, "null": {"label": 1000}}"#)?;
/// assert_eq!(cfg.scale, Some(4.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CfgYaml {
    /// 1 is the conditional network itself, at its own cost; every other scale costs two evaluations. An experiment that
    /// leaves it out takes that of the bundle; a bundle that does, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// What stands for "no condition": of the class, or of every tensor that names none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<NullYaml>,
}

impl CfgYaml {
    /// What is wrong with it, keys below `key`.
    pub(super) fn faults(&self, key: &str) -> Vec<Fault> {
        let mut faults: Vec<Fault> =
            self.null.iter().filter_map(|null| null.fault(&format!("{key}.null"))).collect();
        if let Some(scale) = self.scale.filter(|scale| !scale.is_finite()) {
            let message = format!("is {scale}, expected a number, 1 for no guidance");
            faults.push(Fault::new(format!("{key}.scale"), message));
        }
        faults
    }

    /// This one, with what it leaves out taken from `below`.
    #[must_use]
    pub fn over(&self, below: Option<&Self>) -> Self {
        Self {
            scale: self.scale.or_else(|| below.and_then(|below| below.scale)),
            null: self.null.clone().or_else(|| below.and_then(|below| below.null.clone())),
        }
    }
}

/// A key that YAML may take for its `null`.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Word;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`scale` or `null`")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Word, E> {
                Ok(Word(word.to_owned()))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Word, E> {
                Ok(Word("null".to_owned()))
            }

            fn visit_none<E: serde::de::Error>(self) -> Result<Word, E> {
                self.visit_unit()
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// # Why by hand?
/// Inside an experiment the plain key `null` arrives as YAML's null, which no derived reader takes for a name.
impl<'de> Deserialize<'de> for CfgYaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = CfgYaml;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`{scale: NUMBER, null: ..}`")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<CfgYaml, A::Error> {
                let mut cfg = CfgYaml::default();
                while let Some(Word(key)) = map.next_key()? {
                    match key.as_str() {
                        "scale" => cfg.scale = map.next_value()?,
                        "null" => cfg.null = map.next_value()?,
                        other => {
                            return Err(serde::de::Error::unknown_field(other, &["scale", "null"]));
                        }
                    }
                }
                Ok(cfg)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{CfgYaml, NullYaml};
    use crate::config::ModelConfig;

    #[test]
    fn guidance_of_an_experiment_is_read_with_its_plain_null_key() {
        let text = "{kind: bundle, path: m, cfg: {scale: 4, null: {label: 1000}}}";
        let model: ModelConfig = serde_yaml::from_str(text).unwrap();
        let null = NullYaml { label: Some(1000), ..NullYaml::default() };
        let expected = CfgYaml { scale: Some(4.0), null: Some(null) };
        let ModelConfig::Bundle { cfg: Some(cfg), .. } = &model else { panic!("{model:?}") };
        assert_eq!(*cfg, expected);
        let json = serde_json::to_value(&model).unwrap();
        assert_eq!(serde_json::from_value::<ModelConfig>(json).unwrap(), model);
        let wrong = "{kind: bundle, path: m, cfg: {scale: 4, nul: {label: 1000}}}";
        let error = serde_yaml::from_str::<ModelConfig>(wrong).unwrap_err().to_string();
        assert!(error.contains("unknown field `nul`"), "{error}");
    }

    #[test]
    fn a_model_without_guidance_is_written_as_it_always_was() {
        let model: ModelConfig = serde_yaml::from_str("{kind: bundle, path: m}").unwrap();
        let expected = serde_json::json!({"kind": "bundle", "path": "m"});
        assert_eq!(serde_json::to_value(&model).unwrap(), expected);
    }

    #[test]
    fn an_experiment_stands_over_the_bundle_key_by_key() {
        let null = NullYaml { zeros: Some(true), ..NullYaml::default() };
        let below = CfgYaml { scale: Some(2.0), null: Some(null.clone()) };
        let own = CfgYaml { scale: Some(7.5), null: None };
        assert_eq!(own.over(Some(&below)), CfgYaml { scale: Some(7.5), null: Some(null) });
        assert_eq!(CfgYaml::default().over(Some(&below)), below);
    }

    #[test]
    fn a_null_is_one_thing() {
        let both = NullYaml { label: Some(1), zeros: Some(true), file: None };
        assert!(both.fault("cfg.null").is_some() && NullYaml::default().fault("n").is_some());
        assert_eq!(NullYaml { label: Some(1), ..NullYaml::default() }.fault("n"), None);
    }
}
