//! Classes and tensors that a graph is conditioned on.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, Axis};
use ort::value::TensorElementType;

use super::values::Values;
use crate::model::{Condition, ModelError};

/// Rows of values.
#[derive(Clone, Debug)]
pub enum ConditionRows {
    /// In memory.
    Held(ArrayD<f32>),
    /// Had when they are asked for: more of them than memory should hold.
    Kept(Arc<dyn RowSource>),
}

/// Where rows come from that memory does not hold.
pub trait RowSource: std::fmt::Debug + Send + Sync {
    /// `[n, ..]`.
    fn shape(&self) -> Vec<usize>;

    /// A row, `[1, ..]`.
    ///
    /// # Errors
    /// [`ModelError`] where it cannot be had.
    fn row(&self, at: usize) -> Result<ArrayD<f32>, ModelError>;
}

impl From<ArrayD<f32>> for ConditionRows {
    fn from(values: ArrayD<f32>) -> Self {
        Self::Held(values)
    }
}

/// Rows that are had when they are asked for are those of one source.
impl PartialEq for ConditionRows {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Held(own), Self::Held(other)) => own == other,
            (Self::Kept(own), Self::Kept(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl ConditionRows {
    /// `[n, ..]`.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Held(values) => values.shape().to_vec(),
            Self::Kept(source) => source.shape(),
        }
    }

    /// What memory holds.
    pub(super) fn held(&self) -> Option<&ArrayD<f32>> {
        match self {
            Self::Held(values) => Some(values),
            Self::Kept(_) => None,
        }
    }
}

/// Values of one more input, a row of `values` for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionTensor {
    /// Name of the input.
    pub input: String,
    /// `[1, ..]`, the same for all, or `[n, ..]`: that of sample `id` is row `id % n`.
    pub values: ConditionRows,
    /// `[1, ..]`: what stands for no condition; `None` where guidance leaves the input as it is.
    pub null: Option<ArrayD<f32>>,
}

impl ConditionTensor {
    /// One row for each condition.
    ///
    /// # Errors
    /// [`ModelError`] where a row cannot be had.
    pub(super) fn rows(&self, y: &[Condition]) -> Result<ArrayD<f32>, ModelError> {
        let mut shape = self.values.shape();
        let n = shape.first().copied().unwrap_or(1).max(1);
        if let Some(rows) = shape.first_mut() {
            *rows = y.len();
        }
        let mut fed = ArrayD::zeros(shape);
        for (mut row, condition) in fed.axis_iter_mut(Axis(0)).zip(y) {
            let at = usize::try_from(condition.sample().0 % n as u64).unwrap_or_default();
            match (&self.null, &self.values) {
                (Some(null), _) if condition.is_null() => row.assign(&null.index_axis(Axis(0), 0)),
                (_, ConditionRows::Held(values)) => row.assign(&values.index_axis(Axis(0), at)),
                (_, ConditionRows::Kept(source)) => {
                    row.assign(&source.row(at)?.index_axis(Axis(0), 0));
                }
            }
        }
        Ok(fed)
    }
}

/// The class that stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullClass {
    /// A class of its own.
    Label(u32),
    /// No class of a one-hot input.
    Zeros,
}

/// How the graph takes the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClassInput {
    pub(super) dtype: TensorElementType,
    /// Width of a one-hot input `[b, k]`; `None` for whole numbers `[b]`.
    pub(super) one_hot: Option<usize>,
}

impl ClassInput {
    /// Classes of rows as the graph takes them.
    pub(super) fn values(self, y: &[Condition], null: Option<NullClass>) -> Result<Values, String> {
        let class = |condition: &Condition| match null {
            Some(NullClass::Label(label)) if condition.is_null() => Some(label),
            Some(NullClass::Zeros) if condition.is_null() => None,
            _ => condition.label().map(|label| label.0),
        };
        let Some(width) = self.one_hot else {
            let classes = y.iter().map(|condition| class(condition).unwrap_or_default());
            return Ok(Values::of_labels(Array1::from_iter(classes), self.dtype));
        };
        let mut one_hot = Array2::zeros((y.len(), width));
        for (mut row, condition) in one_hot.outer_iter_mut().zip(y) {
            let Some(class) = class(condition) else { continue };
            let Some(hot) = row.get_mut(class as usize) else {
                return Err(format!("class {class} of a one-hot input of {width}"));
            };
            *hot = 1.0;
        }
        Ok(Values::of_numbers(one_hot.into_dyn(), self.dtype))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, array};

    use super::{ClassInput, ConditionTensor, NullClass};
    use crate::model::Condition;
    use crate::model::onnx::values::Values;
    use crate::units::{ClassLabel, SampleId};
    use ort::value::TensorElementType;

    fn ids(ids: &[u64]) -> Vec<Condition> {
        ids.iter().map(|id| Condition::of_sample(SampleId(*id))).collect()
    }

    #[test]
    fn tensors_belong_to_samples_and_a_single_row_to_all() {
        let values = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]].into_dyn().into();
        let null = Some(array![[9.0_f32, 9.0]].into_dyn());
        let tensor = ConditionTensor { input: "c".to_owned(), values, null };
        let mut y = ids(&[4, 0, 2]);
        y[1] = y[1].null();
        assert_eq!(tensor.rows(&y).unwrap(), array![[3.0, 4.0], [9.0, 9.0], [5.0, 6.0]].into_dyn());
        let constant = ConditionTensor {
            values: array![[7.0_f32]].into_dyn().into(),
            null: None,
            input: "c".to_owned(),
        };
        // Without a null of its own it stays what it is.
        assert_eq!(constant.rows(&y).unwrap(), ArrayD::from_elem(vec![3, 1], 7.0));
    }

    #[test]
    fn classes_are_one_hot_where_the_graph_asks_and_none_is_all_zeros() {
        let input = ClassInput { dtype: TensorElementType::Float32, one_hot: Some(3) };
        let mut y = Condition::of_classes(&[ClassLabel(2), ClassLabel(0)]);
        y.push(y[0].null());
        let Ok(Values::F32(got)) = input.values(&y, Some(NullClass::Zeros)) else {
            panic!("f32 were asked for");
        };
        assert_eq!(got, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]].into_dyn());
        let Err(error) = input.values(&y, Some(NullClass::Label(3))) else {
            panic!("3 is no class");
        };
        assert!(error.contains("class 3 of a one-hot input of 3"), "{error}");
    }
}
