//! Calls of graphs with one image-like input, a piece of the rows at a time.

use ndarray::{Array, ArrayView4, Axis as Dimension, RemoveAxis, concatenate, s};

use super::ports::Axis;
use super::rows::padding;
use super::session::Port;
use crate::model::ModelError;

/// Rows of a call: as many as the graph has baked in, the last call filled up, else at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    baked: Option<usize>,
    most: usize,
}

impl Pieces {
    /// Those of a graph with this input.
    pub(super) fn of(input: &Port, micro_batch: usize) -> Self {
        let baked = input.dims.first().copied().flatten().filter(|rows| *rows > 0);
        Self { baked, most: micro_batch.max(1) }
    }

    /// First axis of inputs and outputs.
    pub(super) fn axis(self) -> Axis {
        self.baked.map_or(Axis::Batch, Axis::Of)
    }

    /// Rows of a call of which `wanted` are asked for.
    pub(super) fn rows(self, wanted: usize) -> usize {
        self.baked.unwrap_or(wanted)
    }

    /// Calls `call` with the first row and the rows of each piece, and joins what it answers for the rows of `x`, of which
    /// there is one at least.
    ///
    /// # Errors
    /// Those of `call`, and [`ModelError::Runtime`] where its answers do not fit each other.
    pub(super) fn run<T: Clone, A: Clone, D: RemoveAxis>(
        self,
        x: &ArrayView4<'_, T>,
        mut call: impl FnMut(usize, ArrayView4<'_, T>) -> Result<Array<A, D>, ModelError>,
    ) -> Result<Array<A, D>, ModelError> {
        let (n, size) = (x.dim().0, self.baked.unwrap_or(self.most));
        let mut parts = Vec::new();
        for start in (0..n).step_by(size) {
            let end = (start + size).min(n);
            let asked = Dimension(0);
            let mut part = match self.baked.filter(|rows| end - start < *rows) {
                Some(rows) => call(start, x.select(asked, &padding(start..end, rows)).view())?,
                None => call(start, x.slice(s![start..end, .., .., ..]))?,
            };
            part.slice_axis_inplace(asked, (0..end - start).into());
            parts.push(part);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        concatenate(Dimension(0), &views).map_err(|error| ModelError::Runtime {
            context: "joining calls".to_owned(),
            message: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;
    use ort::value::TensorElementType;

    use super::*;

    fn port(rows: Option<usize>) -> Port {
        let dims = vec![rows, Some(1), Some(1), Some(1)];
        Port { name: "x".to_owned(), dtype: TensorElementType::Float32, dims }
    }

    #[test]
    fn every_row_is_answered_once_and_fills_are_cut() {
        let x = Array4::from_shape_fn((5, 1, 1, 1), |(row, ..)| row);
        for (baked, expected) in [(Some(3), vec![3, 3]), (None, vec![2, 2, 1]), (Some(9), vec![9])]
        {
            let mut sizes = Vec::new();
            let answer = Pieces::of(&port(baked), 2).run(&x.view(), |start, rows| {
                assert_eq!(rows[[0, 0, 0, 0]], start);
                sizes.push(rows.dim().0);
                Ok(rows.mapv(|row| 10 * row))
            });
            assert_eq!((answer.unwrap(), sizes), (x.mapv(|row| 10 * row), expected), "{baked:?}");
        }
    }
}
