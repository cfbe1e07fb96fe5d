//! Small arrays whose elements are known, as shape arithmetic makes them.

use super::expr::Expr;
use crate::tensor::{Tensor, TensorData};

/// Values with more elements are data, not shape arithmetic.
pub(super) const MAX_ELEMENTS: usize = 4096;

/// A small array: lengths of its axes, and its elements in row-major order; `None` for one that is not known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) shape: Vec<usize>,
    pub(super) elements: Vec<Option<Expr>>,
}

impl Value {
    /// `None` where the count of elements is another or too large.
    pub(super) fn new(shape: Vec<usize>, elements: Vec<Option<Expr>>) -> Option<Self> {
        let count = count(&shape)?;
        (count == elements.len()).then_some(Self { shape, elements })
    }

    pub(super) fn vector(elements: Vec<Expr>) -> Self {
        Self { shape: vec![elements.len()], elements: elements.into_iter().map(Some).collect() }
    }

    /// Reads a weight of numbers.
    pub(super) fn of(tensor: &Tensor) -> Option<Self> {
        let numbers: Vec<f64> = match tensor.data() {
            TensorData::I64(v) => v.iter().map(|&e| e as f64).collect(),
            TensorData::F32(_) | TensorData::F64(_) => tensor.to_f64()?,
            _ => tensor.to_i64()?.into_iter().map(|e| e as f64).collect(),
        };
        let elements = numbers.into_iter().map(|v| Some(Expr::fixed(v))).collect();
        Self::new(tensor.shape().to_vec(), elements)
    }

    /// All elements, where all are known.
    pub(super) fn known(&self) -> Option<Vec<Expr>> {
        self.elements.iter().copied().collect()
    }

    /// All elements as integers that the batch does not change.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.elements.iter().map(|e| e.and_then(Expr::integer)).collect()
    }

    /// The same elements with other axes.
    pub(super) fn with_shape(&self, shape: Vec<usize>) -> Option<Self> {
        Self::new(shape, self.elements.clone())
    }

    /// Elements by place: `place` of each index of the result is the index here.
    pub(super) fn picked(
        &self,
        shape: Vec<usize>,
        place: impl Fn(&[usize]) -> Option<Vec<usize>>,
    ) -> Option<Self> {
        let mut elements = Vec::with_capacity(count(&shape)?);
        for k in 0..count(&shape)? {
            let from = place(&index(k, &shape))?;
            elements.push(*self.elements.get(offset(&from, &self.shape)?)?);
        }
        Self::new(shape, elements)
    }

    /// `f` of the elements of several values, each repeated to the shape of all.
    pub(super) fn broadcast(values: &[&Self], f: impl Fn(&[Expr]) -> Option<Expr>) -> Option<Self> {
        let mut shape: Vec<usize> = Vec::new();
        for value in values {
            shape = together(&shape, &value.shape)?;
        }
        let total = count(&shape)?;
        let mut elements = Vec::with_capacity(total);
        for k in 0..total {
            let at = index(k, &shape);
            let one = |value: &&Self| {
                let behind = at.get(at.len() - value.shape.len()..)?;
                let own: Vec<usize> =
                    behind.iter().zip(&value.shape).map(|(&i, &n)| i.min(n - 1)).collect();
                *value.elements.get(offset(&own, &value.shape)?)?
            };
            let operands: Option<Vec<Expr>> = values.iter().map(one).collect();
            elements.push(operands.and_then(|operands| f(&operands)));
        }
        Self::new(shape, elements)
    }
}

/// Number of elements, where it is small.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (count <= MAX_ELEMENTS).then_some(count)
}

fn together(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], k: usize| (k + s.len()).checked_sub(rank).map_or(1, |k| s[k]);
    let axis = |k| match (at(a, k), at(b, k)) {
        (x, y) if x == y || y == 1 => Some(x),
        (1, y) => Some(y),
        _ => None,
    };
    (0..rank).map(axis).collect()
}

fn index(mut k: usize, shape: &[usize]) -> Vec<usize> {
    let mut out = vec![0; shape.len()];
    for (slot, &n) in out.iter_mut().zip(shape).rev() {
        *slot = k % n;
        k /= n;
    }
    out
}

fn offset(index: &[usize], shape: &[usize]) -> Option<usize> {
    let inside = index.len() == shape.len() && index.iter().zip(shape).all(|(&i, &n)| i < n);
    inside.then(|| index.iter().zip(shape).fold(0, |at, (&i, &n)| at * n + i))
}

#[cfg(test)]
mod tests {
    use super::{Expr, Value};

    fn value(shape: &[usize], elements: &[f64]) -> Value {
        let elements = elements.iter().map(|&v| Some(Expr::fixed(v))).collect();
        Value::new(shape.to_vec(), elements).unwrap()
    }

    #[test]
    fn elements_are_repeated_to_a_common_shape() {
        let (a, b) = (value(&[2, 1], &[1.0, 2.0]), value(&[3], &[10.0, 20.0, 30.0]));
        let sum = Value::broadcast(&[&a, &b], |e| Some(e[0].plus(e[1]))).unwrap();
        assert_eq!(sum, value(&[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]));
        assert!(Value::broadcast(&[&b, &value(&[2], &[0.0; 2])], |e| Some(e[0])).is_none());
    }

    #[test]
    fn an_unknown_element_leaves_the_others_known() {
        let some = Value::new(vec![2], vec![None, Some(Expr::length(3))]).unwrap();
        let one = value(&[], &[1.0]);
        let sum = Value::broadcast(&[&some, &one], |e| Some(e[0].plus(e[1]))).unwrap();
        assert_eq!(sum.elements, [None, Some(Expr::length(4))]);
        assert_eq!((sum.known(), sum.integers()), (None, None));
    }
}
