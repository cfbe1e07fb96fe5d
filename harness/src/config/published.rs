//! Published numbers, restated in files of their own, and the key that finds them.

pub mod claims;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, reader};
use crate::fault::Fault;

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
    /// Reads and checks a table.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for a metric or method that the file does not declare and for values that are not finite,
    /// and the other variants for a file that is no such table.
    ///
    /// # Examples
    /// ```
    /// use dubench::config::PublishedTable;
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/published");
    /// let table = PublishedTable::read(&std::path::Path::new(folder).join("table1.yaml"))?;
    /// let row = table.settings.iter().find(|row| row.dataset == "CIFAR-10").expect("its last row");
    /// assert_eq!(row.value("fid", "sample_var"), Some(13.416));
    /// assert_eq!(row.value("fid", "bayesdiff"), None);
    /// # Ok::<(), dubench::config::ConfigError>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::checked(path, reader::read_yaml(path, super::role::Role::Published)?)
    }

    fn checked(path: &Path, table: Self) -> Result<Self, ConfigError> {
        let faults: Vec<Fault> = table
            .settings
            .iter()
            .enumerate()
            .filter_map(|(at, row)| {
                Some(Fault::new(format!("settings[{at}]"), check(&table, row).err()?))
            })
            .collect();
        if faults.is_empty() {
            return Ok(table);
        }
        Err(ConfigError::Invalid { path: path.to_owned(), faults })
    }

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

fn check(table: &PublishedTable, setting: &PublishedSetting) -> Result<(), String> {
    for (metric, by_method) in &setting.values {
        if !matches!(table.better.get(metric).map(String::as_str), Some("lower" | "higher")) {
            return Err(format!("`better` says neither `lower` nor `higher` of metric `{metric}`"));
        }
        for (method, value) in by_method {
            if !table.methods.iter().any(|known| known.name == *method) {
                return Err(format!("method `{method}` is not declared under `methods`"));
            }
            if value.is_some_and(|number| !number.is_finite()) {
                return Err(format!("{metric} of {method} is not a finite number"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/published")
    }

    #[test]
    fn every_shipped_table_reads_and_names_itself() {
        let mut n = 0;
        for entry in std::fs::read_dir(folder()).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("claims.yaml") {
                continue;
            }
            let table = PublishedTable::read(&path).unwrap();
            assert_eq!(Some(table.artefact.as_str()), path.file_stem().and_then(|s| s.to_str()));
            assert!(!table.settings.is_empty());
            n += 1;
        }
        assert!(n >= 7, "{n} tables");
    }

    #[test]
    fn the_sum_of_ause_and_aurg_shows_the_artefact_of_table_2() {
        // The sum depends on the reconstruction alone, yet the printed sums of CIFAR-10 differ by 1.03.
        let table = PublishedTable::read(&folder().join("table2.yaml")).unwrap();
        let row = table.settings.iter().find(|row| row.dataset == "CIFAR-10").unwrap();
        let sum = |method| row.value("ause", method).unwrap() + row.value("aurg", method).unwrap();
        assert!((sum("sample_var") - sum("mc_dropout") - 1.03).abs() < 1e-9);
    }

    fn edited(from: &str, to: &str) -> Result<PublishedTable, ConfigError> {
        let text = std::fs::read_to_string(folder().join("table1.yaml")).unwrap();
        let path = Path::new("t.yaml");
        PublishedTable::checked(path, reader::parse(path, &text.replacen(from, to, 1))?)
    }

    #[test]
    fn a_method_that_is_not_declared_is_named() {
        let error = edited("sample_var: 3.254", "sampel_var: 3.254").unwrap_err();
        insta::assert_snapshot!(error, @"t.yaml: settings[0]: method `sampel_var` is not declared under `methods`");
    }

    #[test]
    fn unknown_keys_and_values_that_are_not_finite_are_refused() {
        let unknown = edited("artefact: table1", "artefact: table1\nspeed: 3");
        assert!(matches!(unknown, Err(ConfigError::Syntax { .. })));
        assert!(matches!(edited("3.254", ".nan"), Err(ConfigError::Invalid { .. })));
    }
}
