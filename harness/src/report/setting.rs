//! What one table of a result is about.

use std::collections::BTreeSet;

use crate::store::records::MetricRow;

/// One model, data set and sampler, and one arm where a table is about one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// Bundle name.
    pub model: String,
    /// Data set of the reference.
    pub dataset: String,
    /// Sampler with its steps.
    pub sampler: String,
    /// Arm; `None` where all arms of the sampler are meant.
    pub arm: Option<String>,
}

impl Setting {
    /// Model, data set and sampler of a row.
    pub fn of(row: &MetricRow) -> Self {
        Self {
            model: row.model.clone(),
            dataset: row.dataset.clone(),
            sampler: row.sampler.clone(),
            arm: None,
        }
    }

    /// The same, and the arm.
    pub fn of_arm(row: &MetricRow) -> Self {
        Self { arm: Some(row.arm.clone()), ..Self::of(row) }
    }

    /// Whether a row belongs here.
    pub fn holds(&self, row: &MetricRow) -> bool {
        let of = if self.arm.is_some() { Self::of_arm(row) } else { Self::of(row) };
        of == *self
    }

    /// All settings of a result by `of`, in order of first appearance.
    pub fn all(rows: &[MetricRow], of: fn(&MetricRow) -> Self) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        rows.iter().map(of).filter(|setting| seen.insert(setting.clone())).collect()
    }
}
