//! What rows of a batch are conditioned on.

use crate::units::{ClassLabel, SampleId};

/// What one row is conditioned on: a class, the tensors of its sample, both, or, in the null half of classifier-free
/// guidance, what stands for nothing. Opaque to everything but the networks.
///
/// # Examples
/// ```
/// use dubench::model::Condition;
/// use dubench::units::{ClassLabel, SampleId};
///
/// let condition = Condition::of_sample(SampleId(7)).with_class(ClassLabel(3));
/// assert_ne!(condition, condition.null());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    sample: SampleId,
    label: Option<ClassLabel>,
    is_null: bool,
}

impl Condition {
    /// That of a sample, without a class.
    pub fn of_sample(sample: SampleId) -> Self {
        Self { sample, label: None, is_null: false }
    }

    /// A class alone.
    pub fn of_class(label: ClassLabel) -> Self {
        Self::of_sample(SampleId(0)).with_class(label)
    }

    /// Classes alone, one a row.
    pub fn of_classes(labels: &[ClassLabel]) -> Vec<Self> {
        labels.iter().copied().map(Self::of_class).collect()
    }

    /// The same with a class.
    #[must_use]
    pub fn with_class(self, label: ClassLabel) -> Self {
        Self { label: Some(label), ..self }
    }

    /// What stands for no condition in its place.
    #[must_use]
    pub fn null(self) -> Self {
        Self { is_null: true, ..self }
    }

    /// The sample whose tensors are fed.
    pub(in crate::model) fn sample(self) -> SampleId {
        self.sample
    }

    /// The class; that of the conditional half in the null half too.
    pub(in crate::model) fn label(self) -> Option<ClassLabel> {
        self.label
    }

    /// Whether the null is fed, where the network has one.
    pub(in crate::model) fn is_null(self) -> bool {
        self.is_null
    }
}
