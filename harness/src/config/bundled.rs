//! The published numbers that ship with the binary: one file an artefact under `experiments/published/`.

use super::published::{PublishedSetting, PublishedTable};
use crate::exit::{Exit, Exits};

/// A file of published numbers that contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// Not the expected YAML.
    #[error(
        "published numbers {name}: {source}: see experiments/published/table1.yaml for the form"
    )]
    Syntax {
        /// File or artefact name.
        name: String,
        /// Cause, with line and column.
        source: serde_yaml::Error,
    },
    /// A name that the file does not declare, or a number that is none.
    #[error(
        "published numbers {name}: {network} on {dataset}: {what}: correct the entry under `settings`"
    )]
    Setting {
        /// File or artefact name.
        name: String,
        /// Network of the row.
        network: String,
        /// Data set of the row.
        dataset: String,
        /// What does not fit.
        what: String,
    },
}

impl Exits for PublishedError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

const BUNDLED: [(&str, &str); 7] = [
    ("table1", include_str!("../../../experiments/published/table1.yaml")),
    ("table2", include_str!("../../../experiments/published/table2.yaml")),
    ("table3", include_str!("../../../experiments/published/table3.yaml")),
    ("table4", include_str!("../../../experiments/published/table4.yaml")),
    ("table5", include_str!("../../../experiments/published/table5.yaml")),
    ("table6", include_str!("../../../experiments/published/table6.yaml")),
    ("fig11", include_str!("../../../experiments/published/fig11.yaml")),
];

/// The published table of an artefact; `None` where the paper prints no numbers for it.
///
/// # Errors
/// [`PublishedError`] where the file contradicts itself.
///
/// # Examples
/// ```
/// use dubench::config::bundled;
/// let table = bundled::published("table1")?.expect("the paper has a Table 1");
/// let row = table.settings.iter().find(|row| row.dataset == "CIFAR-10").expect("its last row");
/// assert_eq!(row.value("fid", "sample_var"), Some(13.416));
/// assert_eq!(row.value("fid", "bayesdiff"), None);
/// assert!(bundled::published("fig3")?.is_none());
/// # Ok::<(), dubench::config::bundled::PublishedError>(())
/// ```
pub fn published(artefact: &str) -> Result<Option<PublishedTable>, PublishedError> {
    BUNDLED
        .iter()
        .find(|(name, _)| *name == artefact)
        .map(|(name, text)| parse(name, text))
        .transpose()
}

/// Reads one table; `name` is for messages.
///
/// # Errors
/// [`PublishedError::Syntax`] for YAML of another form, [`PublishedError::Setting`] for a metric or method
/// that the file does not declare and for values that are not finite.
pub fn parse(name: &str, text: &str) -> Result<PublishedTable, PublishedError> {
    let table: PublishedTable = serde_yaml::from_str(text)
        .map_err(|source| PublishedError::Syntax { name: name.to_owned(), source })?;
    for setting in &table.settings {
        check(&table, setting).map_err(|what| PublishedError::Setting {
            name: name.to_owned(),
            network: setting.network.clone(),
            dataset: setting.dataset.clone(),
            what,
        })?;
    }
    Ok(table)
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

    #[test]
    fn every_bundled_table_reads_and_names_itself() {
        for (name, _) in BUNDLED {
            let table = published(name).unwrap().unwrap();
            assert_eq!(table.artefact, name);
            assert!(!table.settings.is_empty());
        }
    }

    #[test]
    fn the_sum_of_ause_and_aurg_shows_the_artefact_of_table_2() {
        // The sum depends on the reconstruction alone, yet the printed sums of CIFAR-10 differ by 1.03.
        let table = published("table2").unwrap().unwrap();
        let row = table.settings.iter().find(|row| row.dataset == "CIFAR-10").unwrap();
        let sum = |method| row.value("ause", method).unwrap() + row.value("aurg", method).unwrap();
        assert!((sum("sample_var") - sum("mc_dropout") - 1.03).abs() < 1e-9);
    }

    #[test]
    fn a_method_that_is_not_declared_is_named() {
        let text = BUNDLED[0].1.replace("sample_var: 3.254", "sampel_var: 3.254");
        let error = parse("table1", &text).unwrap_err();
        insta::assert_snapshot!(error, @"published numbers table1: ADM 64 on ImageNet 64: method `sampel_var` is not declared under `methods`: correct the entry under `settings`");
    }

    #[test]
    fn unknown_keys_and_values_that_are_not_finite_are_refused() {
        let unknown = BUNDLED[0].1.replace("artefact: table1", "artefact: table1\nspeed: 3");
        assert!(matches!(parse("table1", &unknown), Err(PublishedError::Syntax { .. })));
        let nan = BUNDLED[0].1.replace("3.254", ".nan");
        assert!(matches!(parse("table1", &nan), Err(PublishedError::Setting { .. })));
    }
}
