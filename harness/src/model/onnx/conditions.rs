//! Classes and tensors that a graph is conditioned on.

use ndarray::{Array1, Array2, ArrayD, Axis};
use ort::value::TensorElementType;

use super::values::Values;
use crate::model::Condition;

/// Values of one more input, a row of `values` for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionTensor {
    /// Name of the input.
    pub input: String,
    /// `[1, ..]`, the same for all, or `[n, ..]`: that of sample `id` is row `id % n`.
    pub values: ArrayD<f32>,
    /// `[1, ..]`: what stands for no condition; `None` where guidance leaves the input as it is.
    pub null: Option<ArrayD<f32>>,
}

impl ConditionTensor {
    /// One row for each condition.
    pub(super) fn rows(&self, y: &[Condition]) -> ArrayD<f32> {
        let mut shape = self.values.shape().to_vec();
        let n = shape.first().copied().unwrap_or(1).max(1);
        if let Some(rows) = shape.first_mut() {
            *rows = y.len();
        }
        let mut fed = ArrayD::zeros(shape);
        for (mut row, condition) in fed.axis_iter_mut(Axis(0)).zip(y) {
            match &self.null {
                Some(null) if condition.is_null() => row.assign(&null.index_axis(Axis(0), 0)),
                _ => {
                    let at = condition.sample().0 % n as u64;
                    let at = usize::try_from(at).unwrap_or_default();
                    row.assign(&self.values.index_axis(Axis(0), at));
                }
            }
        }
        fed
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
        let values = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]].into_dyn();
        let null = Some(array![[9.0_f32, 9.0]].into_dyn());
        let tensor = ConditionTensor { input: "c".to_owned(), values, null };
        let mut y = ids(&[4, 0, 2]);
        y[1] = y[1].null();
        assert_eq!(tensor.rows(&y), array![[3.0, 4.0], [9.0, 9.0], [5.0, 6.0]].into_dyn());
        let constant = ConditionTensor {
            values: array![[7.0_f32]].into_dyn(),
            null: None,
            input: "c".to_owned(),
        };
        // Without a null of its own it stays what it is.
        assert_eq!(constant.rows(&y), ArrayD::from_elem(vec![3, 1], 7.0));
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
