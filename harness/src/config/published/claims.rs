//! Claims of the paper and the number of ours that answers each: `experiments/published/claims.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{PublishedSetting, PublishedTable};
use crate::config::role::Role;
use crate::config::{ConfigError, reader};
use crate::fault::Fault;

/// What a paper claims, with the published tables that it quotes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// `arXiv:2412.00205v1`.
    pub paper: String,
    /// In the order of the page.
    pub claims: Vec<Claim>,
    /// The tables that claims quote, by file name.
    #[serde(skip)]
    pub tables: BTreeMap<String, PublishedTable>,
}

/// One claim. One that quotes a table stands for every row of that table that has the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Unique.
    pub id: String,
    /// Heading that it stands under.
    pub group: String,
    /// Where it is made: `Table 1`.
    pub source: String,
    /// The claim, as one sentence that is true or false.
    pub says: String,
    /// The published number.
    #[serde(default)]
    pub quoted: Option<Quoted>,
    /// What answers it.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// Why nothing here can answer it.
    #[serde(default)]
    pub obstacle: Option<String>,
    /// What must be known to read the answer.
    #[serde(default)]
    pub remark: Option<String>,
}

/// A published number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Quoted {
    /// Cells of a published table, one or two of every row.
    Cells {
        /// File beside the claims.
        table: String,
        /// Metric in the table.
        metric: String,
        /// Method in the table.
        method: String,
        /// The method that it is held against.
        #[serde(default)]
        against: Option<String>,
        /// How the two are held against each other.
        #[serde(default)]
        by: Comparison,
    },
    /// A number of the text.
    Words {
        /// As the page prints it.
        text: String,
    },
}

/// How two published numbers are held against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The first minus the second.
    #[default]
    Difference,
    /// The first over the second.
    Ratio,
}

/// The number of ours that answers a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which row of the quoted table it answers; for claims that quote one.
    #[serde(default)]
    pub setting: Option<SettingKey>,
    /// Experiment whose result holds it.
    pub experiment: String,
    /// Columns of its one row in `metrics.parquet`, and their text; the empty text stands for none.
    #[serde(rename = "where")]
    pub row: BTreeMap<String, String>,
    /// The same for the row of its adjusted p; where left out, a `delta` takes the `p_holm` beside it.
    #[serde(default)]
    pub p: Option<BTreeMap<String, String>>,
    /// Column that holds the number.
    #[serde(default)]
    pub column: Column,
    /// What the number is, in words.
    pub measured: String,
    /// Where it has to lie if the claim is true.
    pub expected: Expected,
    /// Whether what the experiment needs ships with this repository. Where it does not, and there is no result, the claim
    /// cannot be tested, for the reason that the published table gives.
    #[serde(default = "ships")]
    pub ships: bool,
}

fn ships() -> bool {
    true
}

/// A row of a published table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingKey {
    /// Data set in the table.
    pub dataset: String,
    /// Sampler in the table, where a data set has several rows.
    #[serde(default)]
    pub sampler: Option<String>,
}

impl SettingKey {
    /// Whether a row of a table is meant.
    pub fn is(&self, setting: &PublishedSetting) -> bool {
        setting.dataset == self.dataset
            && (self.sampler.is_none() || self.sampler == setting.sampler)
    }
}

/// A column of `metrics.parquet` that holds numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The metric.
    #[default]
    Value,
    /// Evaluations of the walk, an image.
    NfeTrajectory,
    /// Evaluations of the estimator beside it.
    NfeEstimator,
    /// Reverse passes.
    NfeGradient,
}

impl Column {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::NfeTrajectory => "nfe_trajectory",
            Self::NfeEstimator => "nfe_estimator",
            Self::NfeGradient => "nfe_gradient",
        }
    }
}

/// Where a number has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expected {
    /// Below a number.
    Below {
        /// The number.
        than: f64,
    },
    /// Above a number.
    Above {
        /// The number.
        than: f64,
    },
    /// Between two, both included.
    Between {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
}

impl Claims {
    /// Reads and checks a file of claims, and the tables beside it that it quotes.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for two claims of one id, one that nothing answers and nothing keeps from being answered, an
    /// answer to a row that the table does not have, and ends that are no interval; the other variants for files that are
    /// no claims or tables.
    ///
    /// # Examples
    /// ```
    /// use dubench::config::published::claims::Claims;
    /// let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/published");
    /// let claims = Claims::read(&folder.join("claims.yaml"))?;
    /// assert!(claims.claims.iter().any(|claim| claim.source == "Table 1"));
    /// # Ok::<(), dubench::config::ConfigError>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let claims: Self = reader::read_yaml(path, Role::Claims)?;
        claims.with_tables(path)
    }

    fn with_tables(mut self, path: &Path) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        for claim in &self.claims {
            if let Some(Quoted::Cells { table, .. }) = &claim.quoted
                && !self.tables.contains_key(table)
            {
                self.tables.insert(table.clone(), PublishedTable::read(&folder.join(table))?);
            }
        }
        let faults = self.faults();
        if faults.is_empty() {
            return Ok(self);
        }
        Err(ConfigError::Invalid { path: path.to_owned(), faults })
    }

    fn faults(&self) -> Vec<Fault> {
        let mut ids = BTreeSet::new();
        let mut faults = Vec::new();
        for (at, claim) in self.claims.iter().enumerate() {
            let place = format!("claims[{at}] ({})", claim.id);
            let mut fault = |words: String| faults.push(Fault::new(place.clone(), words));
            if !ids.insert(&claim.id) {
                fault("another claim has this id: give it one of its own".to_owned());
            }
            self.claim_faults(claim).into_iter().for_each(&mut fault);
        }
        faults
    }

    fn claim_faults(&self, claim: &Claim) -> Vec<String> {
        let mut faults = Vec::new();
        let settings = self.settings(claim);
        match &settings {
            Some(settings) if settings.is_empty() => {
                faults.push(
                    "no row of the table has these numbers: correct metric and methods".into(),
                );
            }
            None if claim.answers.len() + usize::from(claim.obstacle.is_some()) != 1 => {
                faults
                    .push("expected one answer, or an obstacle that says why there is none".into());
            }
            _ => {}
        }
        for answer in &claim.answers {
            let meant = |key: &SettingKey| {
                settings.iter().flatten().filter(|setting| key.is(setting)).count()
            };
            match (&answer.setting, &settings) {
                (Some(key), _) if meant(key) != 1 => faults.push(format!(
                    "setting {}: {} rows of the table, expected 1: name data set and sampler as there",
                    key.dataset,
                    meant(key)
                )),
                (None, Some(_)) => faults.push("an answer to a table says which `setting`".into()),
                _ => {}
            }
            if !answer.expected.is_interval() {
                faults.push("expected: the ends are no finite numbers in ascending order".into());
            }
        }
        faults
    }

    /// The rows of the table that a claim quotes, where it quotes one: those that have its numbers.
    pub fn settings(&self, claim: &Claim) -> Option<Vec<&PublishedSetting>> {
        let Some(Quoted::Cells { table, metric, method, against, .. }) = &claim.quoted else {
            return None;
        };
        let has = |setting: &&PublishedSetting| {
            setting.value(metric, method).is_some()
                && against.as_ref().is_none_or(|other| setting.value(metric, other).is_some())
        };
        let table = self.tables.get(table);
        Some(table.into_iter().flat_map(|table| &table.settings).filter(has).collect())
    }
}

impl Expected {
    fn is_interval(self) -> bool {
        match self {
            Self::Below { than } | Self::Above { than } => than.is_finite(),
            Self::Between { low, high } => low.is_finite() && high.is_finite() && low <= high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/published")
    }

    fn parsed(claim: &str) -> Result<Claims, ConfigError> {
        let path = folder().join("c.yaml");
        let text =
            format!("paper: p\nclaims:\n  - {{id: a, group: g, source: s, says: t, {claim}}}\n");
        reader::parse::<Claims>(&path, &text)?.with_tables(&path)
    }

    fn fault(claim: &str) -> String {
        let error = parsed(claim).unwrap_err().to_string();
        error.split_once("c.yaml: ").unwrap().1.to_owned()
    }

    const CELLS: &str = "quoted: {kind: cells, table: table1.yaml, metric: fid, method: sample_var, against: bayesdiff}";
    const ANSWER: &str = "experiment: e, where: {metric: fid}, measured: m";

    #[test]
    fn a_claim_about_a_table_stands_for_the_rows_that_have_its_numbers() {
        let claims = parsed(CELLS).unwrap();
        let settings = claims.settings(&claims.claims[0]).unwrap();
        let datasets: Vec<&str> = settings.iter().map(|row| row.dataset.as_str()).collect();
        assert_eq!(datasets, ["ImageNet 128", "ImageNet 128", "ImageNet 256", "ImageNet 512"]);
    }

    #[test]
    fn every_shipped_claim_names_an_experiment_of_its_own_kind_or_an_obstacle() {
        let claims = Claims::read(&folder().join("claims.yaml")).unwrap();
        for source in ["Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "Fig. 11"]
        {
            assert!(claims.claims.iter().any(|claim| claim.source == source), "{source}");
        }
        for claim in &claims.claims {
            assert!(claim.says.ends_with('.'), "{}: no sentence", claim.id);
        }
    }

    #[test]
    fn what_is_no_claim_is_refused_by_its_id() {
        insta::assert_snapshot!(fault("remark: r"), @"claims[0] (a): expected one answer, or an obstacle that says why there is none");
        let nowhere = format!(
            "{CELLS}, answers: [{{setting: {{dataset: CIFAR-10}}, {ANSWER}, expected: {{kind: below, than: 0}}}}]"
        );
        insta::assert_snapshot!(fault(&nowhere), @"claims[0] (a): setting CIFAR-10: 0 rows of the table, expected 1: name data set and sampler as there");
        let several = nowhere.replace("CIFAR-10", "ImageNet 128");
        assert!(fault(&several).contains("ImageNet 128: 2 rows"));
        let without =
            format!("{CELLS}, answers: [{{{ANSWER}, expected: {{kind: below, than: 0}}}}]");
        assert!(fault(&without).contains("which `setting`"));
        let ends = format!("answers: [{{{ANSWER}, expected: {{kind: between, low: 2, high: 1}}}}]");
        assert!(fault(&ends).contains("ascending order"));
        assert!(fault(&CELLS.replace("bayesdiff", "nobody")).contains("no row of the table"));
        let twice = "obstacle: o}\n  - {id: a, group: g, source: s, says: t, obstacle: o";
        assert!(fault(twice).contains("another claim has this id"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = parsed("obstacle: o, verdict: holds").unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    }
}
