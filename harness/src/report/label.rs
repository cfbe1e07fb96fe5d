//! What a reader sees instead of the names in the stores. A label hangs on what a method *is*, its kind, and never on the
//! name that somebody chose for it.

use std::collections::BTreeMap;

use crate::control::ControlConfig;
use crate::guidance::RuleConfig;
use crate::store::records::MetricRow;
use crate::uncertainty::EstimatorConfig;

/// Kinds that no experiment names: what protocols put beside methods.
const FIXED: [(&str, &str); 14] = [
    ("random", "Random subsets"),
    ("full", "Full pool"),
    ("unguided", "Unguided"),
    ("without_uncertainty", "Without uncertainty"),
    ("reconstruction", "Reconstruction"),
    ("local_variance", "Local variance"),
    ("chance", "Chance"),
    ("oracle", "Oracle"),
    ("bayesdiff", "BayesDiff"),
    ("generative_uncertainty", "Generative uncertainty"),
    ("realism", "Realism"),
    ("rarity", "Rarity"),
    ("clip_score", "CLIP score"),
    ("nan_ranking", "Not a number (as released)"),
];

/// Name of a kind as tables and legends print it. A kind that is not ours stays as it is.
///
/// # Examples
/// ```
/// use dubench::report::label;
/// assert_eq!(label::kind("mc_dropout"), "MC-Dropout");
/// assert_eq!(label::kind("my_score"), "my_score");
/// ```
pub fn kind(kind: &str) -> &str {
    let fixed = FIXED.iter().find(|(known, _)| *known == kind).map(|(_, label)| *label);
    fixed
        .or_else(|| EstimatorConfig::label_of(kind))
        .or_else(|| ControlConfig::label_of(kind))
        .or_else(|| RuleConfig::label_of(kind))
        .unwrap_or(kind)
}

/// Label of something of a kind under a name of its own.
///
/// # Examples
/// ```
/// use dubench::report::label;
/// assert_eq!(label::named("mc_dropout", "mc_dropout"), "MC-Dropout");
/// assert_eq!(label::named("mc_dropout", "half"), "MC-Dropout, half");
/// assert_eq!(label::named("mc_dropout", "mc_dropout_p50"), "MC-Dropout, p50"); // the kind is said once
/// ```
pub fn named(of_kind: &str, name: &str) -> String {
    if of_kind == name {
        return kind(name).to_owned();
    }
    // `gradients` is no `gradient` named `s`: what follows the kind has to stand apart from it.
    let rest = name.strip_prefix(of_kind).and_then(|rest| rest.strip_prefix(['_', '-', ' ']));
    format!("{}, {}", kind(of_kind), rest.filter(|rest| !rest.is_empty()).unwrap_or(name))
}

/// Labels of the methods of a result, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    kinds: BTreeMap<String, String>,
}

impl Labels {
    /// Labels of the methods that rows name.
    pub fn of(rows: &[MetricRow]) -> Self {
        Self { kinds: rows.iter().map(|row| (row.method.clone(), row.kind.clone())).collect() }
    }

    fn kind_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.kinds.get(name).map_or(name, String::as_str)
    }

    /// Label of a method.
    pub fn method(&self, name: &str) -> String {
        named(self.kind_of(name), name)
    }

    /// Where a method stands in a table.
    pub fn group(&self, name: &str) -> Group {
        group(self.kind_of(name))
    }
}

/// Where a method stands in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Not chosen by any score: random subsets, the full pool.
    Baseline,
    /// An uncertainty estimator.
    Estimator,
    /// A score that knows nothing of uncertainty: what an estimator has to beat.
    Control,
}

/// Group of a kind. A kind that is not ours is an estimator.
pub fn group(kind: &str) -> Group {
    match kind {
        "random" | "full" | "oracle" | "nan_ranking" => Group::Baseline,
        "local_variance" | "realism" | "rarity" | "clip_score" => Group::Control,
        other if ControlConfig::label_of(other).is_some() => Group::Control,
        _ => Group::Estimator,
    }
}

/// Which images are kept, in words.
pub fn kept(side: Option<&str>) -> &str {
    match side {
        Some("lowest") => "most certain",
        Some("highest") => "least certain",
        Some("as_is") => "as is",
        Some(other) => other,
        None => "",
    }
}
