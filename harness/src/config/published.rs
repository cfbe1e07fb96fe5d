//! Published numbers, restated in files of their own, and the key that finds them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the published numbers of an experiment stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedConfig {
    /// YAML table, relative to the experiment file.
    pub file: PathBuf,
    /// Network in the table.
    pub network: String,
    /// Data set in the table.
    pub dataset: String,
    /// Sampler in the table, where the table names one.
    pub sampler: Option<String>,
}

/// A table or figure as it was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTable {
    /// `table1`.
    pub artefact: String,
    /// Where it stands.
    pub source: String,
    /// What it shows.
    pub title: String,
    /// Better direction of each metric: `lower` or `higher`.
    pub better: BTreeMap<String, String>,
    /// Methods, our name and the published one.
    pub methods: Vec<PublishedMethod>,
    /// What must be known to read the numbers.
    pub caveats: Vec<String>,
    /// Rows.
    pub settings: Vec<PublishedSetting>,
}

/// A method of a published table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedMethod {
    /// Our name.
    pub name: String,
    /// The published name.
    pub label: String,
}

/// One row of a published table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedSetting {
    /// Network.
    pub network: String,
    /// Data set.
    pub dataset: String,
    /// Sampler; some tables do not say.
    #[serde(default)]
    pub sampler: Option<String>,
    /// Metric, then our method name, to the number; `None` is the table's dash.
    pub values: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// Why this repository does not reproduce the row as it stands.
    #[serde(default)]
    pub obstacle: Option<String>,
}

impl PublishedTable {
    /// The row that `key` names.
    pub fn setting(&self, key: &PublishedConfig) -> Option<&PublishedSetting> {
        self.settings.iter().find(|row| {
            row.network == key.network && row.dataset == key.dataset && row.sampler == key.sampler
        })
    }

    /// The rows that there are, for error messages.
    pub fn keys(&self) -> Vec<String> {
        self.settings
            .iter()
            .map(|row| {
                let sampler = row.sampler.as_deref().unwrap_or("no sampler");
                format!("{} / {} / {sampler}", row.network, row.dataset)
            })
            .collect()
    }
}

impl PublishedSetting {
    /// The published number of a method and metric, both by our names.
    ///
    /// # Examples
    /// ```
    /// use dubench::config::published::PublishedSetting;
    /// let fid = [("sample_var".to_owned(), Some(13.416)), ("bayesdiff".to_owned(), None)].into();
    /// let row = PublishedSetting {
    ///     network: "DDPM".into(), dataset: "CIFAR-10".into(), sampler: Some("DDIM".into()),
    ///     values: [("fid".to_owned(), fid)].into(), obstacle: None,
    /// };
    /// assert_eq!(row.value("fid", "sample_var"), Some(13.416));
    /// assert_eq!(row.value("fid", "bayesdiff"), None);
    /// assert_eq!(row.value("recall", "sample_var"), None);
    /// ```
    pub fn value(&self, metric: &str, method: &str) -> Option<f64> {
        self.values.get(metric)?.get(method).copied().flatten()
    }
}
