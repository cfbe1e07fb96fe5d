//! Rows of features, in either precision.

use crate::error::{MetricError, Result};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// A borrowed matrix of features `[n, d]`: one row an image, f32 or f64.
///
/// Why an enum and not a type parameter? So that the numeric code is compiled once, here, and not in
/// each caller. All sums are f64 whatever the precision of the rows.
///
/// # Examples
/// ```
/// use dubench_metrics::Features;
/// use ndarray::array;
/// let rows = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
/// let features = Features::from(&rows);
/// assert_eq!((features.n(), features.dim()), (3, 2));
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Features<'a> {
    /// Single precision, what networks give.
    F32(ArrayView2<'a, f32>),
    /// Double precision.
    F64(ArrayView2<'a, f64>),
}

impl<'a> From<ArrayView2<'a, f32>> for Features<'a> {
    fn from(rows: ArrayView2<'a, f32>) -> Self {
        Self::F32(rows)
    }
}

impl<'a> From<ArrayView2<'a, f64>> for Features<'a> {
    fn from(rows: ArrayView2<'a, f64>) -> Self {
        Self::F64(rows)
    }
}

impl<'a> From<&'a Array2<f32>> for Features<'a> {
    fn from(rows: &'a Array2<f32>) -> Self {
        Self::F32(rows.view())
    }
}

impl<'a> From<&'a Array2<f64>> for Features<'a> {
    fn from(rows: &'a Array2<f64>) -> Self {
        Self::F64(rows.view())
    }
}

impl Features<'_> {
    /// Number of rows.
    pub fn n(&self) -> usize {
        match self {
            Self::F32(rows) => rows.nrows(),
            Self::F64(rows) => rows.nrows(),
        }
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        match self {
            Self::F32(rows) => rows.ncols(),
            Self::F64(rows) => rows.ncols(),
        }
    }

    /// Appends row `i` to `out` in f64, and refuses it if it holds NaN or infinity.
    pub(crate) fn append_row(
        &self,
        i: usize,
        what: &'static str,
        out: &mut Vec<f64>,
    ) -> Result<()> {
        let start = out.len();
        match self {
            Self::F32(rows) => match rows.row(i).to_slice() {
                Some(row) => out.extend(row.iter().map(|&v| f64::from(v))),
                None => out.extend(rows.row(i).iter().map(|&v| f64::from(v))),
            },
            Self::F64(rows) => out.extend(rows.row(i).iter()),
        }
        match out[start..].iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(column) => Err(MetricError::NonFinite {
                what,
                row: i,
                column,
                value: out[start + column].to_string(),
            }),
        }
    }

    /// Appends row `i` to `out` in f32; the rows have been checked before.
    pub(crate) fn append_row_f32(&self, i: usize, out: &mut Vec<f32>) {
        match self {
            Self::F32(rows) => match rows.row(i).to_slice() {
                Some(row) => out.extend_from_slice(row),
                None => out.extend(rows.row(i).iter()),
            },
            #[expect(clippy::cast_possible_truncation, reason = "narrowing is what is asked for")]
            Self::F64(rows) => out.extend(rows.row(i).iter().map(|&v| v as f32)),
        }
    }

    /// The rows `indices`, row-major in f64.
    pub(crate) fn gather(
        &self,
        indices: impl ExactSizeIterator<Item = usize>,
        what: &'static str,
    ) -> Result<Vec<f64>> {
        let mut out = Vec::with_capacity(indices.len() * self.dim());
        for i in indices {
            self.append_row(i, what, &mut out)?;
        }
        Ok(out)
    }

    /// Refuses the first value that is NaN or infinite.
    pub(crate) fn check_finite(&self, what: &'static str) -> Result<()> {
        let broken = |&i: &usize| match self {
            Self::F32(rows) => rows.row(i).iter().any(|v| !v.is_finite()),
            Self::F64(rows) => rows.row(i).iter().any(|v| !v.is_finite()),
        };
        match (0..self.n()).into_par_iter().find_first(broken) {
            None => Ok(()),
            Some(i) => self.append_row(i, what, &mut Vec::with_capacity(self.dim())),
        }
    }
}
