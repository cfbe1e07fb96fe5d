//! Maximum mean discrepancy: the distance of two sets in the space of a kernel.

use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::linalg::row_major;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of one block of a kernel matrix.
const BLOCK: usize = 512;

/// A kernel on feature vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// `(x.y / d + 1)^3`: KID (Binkowski et al. 2018, arXiv:1801.01401).
    Cubic,
    /// `exp(-|x - y|^2 / (2 sigma^2))`: CMMD with sigma = 10 (Jayasumana et al. 2024, arXiv:2401.09603).
    Rbf {
        /// Bandwidth, above 0.
        sigma: f64,
    },
}

impl Kernel {
    /// From an inner product and two squared norms.
    fn value(self, product: f64, norms: f64, dim: usize) -> f64 {
        match self {
            Self::Cubic => (product / dim as f64 + 1.0).powi(3),
            Self::Rbf { sigma } => {
                let squared = (norms - 2.0 * product).max(0.0);
                libm::exp(-squared / (2.0 * sigma * sigma))
            }
        }
    }
}

/// Whether a sample is compared with itself.
///
/// # Examples
/// ```
/// use dubench_metrics::{Kernel, MmdEstimator, mmd};
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [1.0]], array![[0.5], [0.7]]);
/// let kernel = Kernel::Rbf { sigma: 10.0 };
/// let of = |estimator| mmd(&x, &y, kernel, estimator).map(|found| found.value);
/// assert!(of(MmdEstimator::Unbiased)? < 0.0 && of(MmdEstimator::Biased)? > 0.0);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MmdEstimator {
    /// Without the diagonal: mean right, may be negative.
    Unbiased,
    /// With the diagonal: never negative. CMMD reports 1000 times this.
    Biased,
}

/// A squared maximum mean discrepancy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmd {
    /// `mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`.
    pub value: f64,
    /// Standard error: `sqrt(4 var g(x) / n + 4 var g(y) / m)` with `g` the mean kernel to the own set less that to
    /// the other. Too small where both sets are alike: the discrepancy is then not normal.
    pub se: f64,
}

/// The squared maximum mean discrepancy of `x` `[n, d]` and `y` `[m, d]`, in blocks: no kernel matrix is held.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the dimensions differ, [`MetricError::TooFewSamples`] below two rows,
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] unless `sigma > 0`.
///
/// # Examples
/// ```
/// use dubench_metrics::{Kernel, MmdEstimator, mmd};
/// use ndarray::array;
/// let x = array![[0.0], [2.0]];
/// let y = array![[1.0], [1.0]];
/// // k = (x y + 1)^3: k(0, 2) = 1, k(1, 1) = 8, and k(0, 1) = 1, k(2, 1) = 27.
/// let cubic = mmd(&x, &y, Kernel::Cubic, MmdEstimator::Unbiased)?;
/// assert!((cubic.value - (1.0 + 8.0 - 2.0 * 14.0)).abs() < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn mmd<'a, 'b>(
    x: impl Into<Features<'a>>,
    y: impl Into<Features<'b>>,
    kernel: Kernel,
    estimator: MmdEstimator,
) -> Result<Mmd> {
    let (x, y) = (x.into(), y.into());
    let x = Sample::new(x, "the first sample")?;
    let y = Sample::new(y, "the second sample")?;
    x.compare(&y, kernel, estimator)
}

/// Rows in f64 with their squared norms.
#[derive(Debug)]
pub(crate) struct Sample {
    rows: Vec<f64>,
    norms: Vec<f64>,
    dim: usize,
}

impl Sample {
    pub(crate) fn new(features: Features<'_>, what: &'static str) -> Result<Self> {
        Self::of_rows(features, 0..features.n(), what)
    }

    pub(crate) fn of_rows(
        features: Features<'_>,
        indices: impl ExactSizeIterator<Item = usize>,
        what: &'static str,
    ) -> Result<Self> {
        at_least(what, indices.len(), 2)?;
        let dim = features.dim();
        let rows = features.gather(indices, what)?;
        let norms = rows.chunks_exact(dim.max(1)).map(|r| r.iter().map(|v| v * v).sum()).collect();
        Ok(Self { rows, norms, dim })
    }

    pub(crate) fn n(&self) -> usize {
        self.norms.len()
    }

    /// `k(x_i, x_i)` of each row.
    pub(crate) fn diagonal(&self, kernel: Kernel) -> Vec<f64> {
        self.norms.iter().map(|&norm| kernel.value(norm, 2.0 * norm, self.dim)).collect()
    }

    /// The rows of block `index` of [`BLOCK`].
    pub(crate) fn block(&self, index: usize) -> Range<usize> {
        index * BLOCK..self.n().min((index + 1) * BLOCK)
    }

    pub(crate) fn n_blocks(&self) -> usize {
        self.n().div_ceil(BLOCK)
    }

    /// `k(x_i, y_j)` for the rows of two blocks.
    pub(crate) fn kernel_block(
        &self,
        rows: Range<usize>,
        other: (&Self, Range<usize>),
        kernel: Kernel,
    ) -> Mat<f64> {
        let (other, columns) = other;
        let mut values = Mat::<f64>::zeros(rows.len(), columns.len());
        let values_of = |rows: &Range<usize>| rows.start * self.dim..rows.end * self.dim;
        matmul(
            values.as_mut(),
            Accum::Replace,
            row_major(&self.rows[values_of(&rows)], rows.len(), self.dim),
            row_major(&other.rows[values_of(&columns)], columns.len(), self.dim).transpose(),
            1.0,
            Par::Seq,
        );
        for (column, &norm) in values.col_iter_mut().zip(&other.norms[columns]) {
            for (value, own) in column.iter_mut().zip(&self.norms[rows.clone()]) {
                *value = kernel.value(*value, norm + own, self.dim);
            }
        }
        values
    }

    pub(crate) fn compare(
        &self,
        other: &Self,
        kernel: Kernel,
        estimator: MmdEstimator,
    ) -> Result<Mmd> {
        same_length("the features of the second sample", other.dim, self.dim)?;
        if let Kernel::Rbf { sigma } = kernel
            && !(sigma > 0.0 && sigma.is_finite())
        {
            return Err(MetricError::out_of_range("sigma of the kernel", sigma, "above 0"));
        }
        let (n, m) = (self.n() as f64, other.n() as f64);
        let (own_x, own_y) = (self.own_sums(kernel), other.own_sums(kernel));
        let (cross_x, cross_y) = self.cross_sums(other, kernel);
        let diagonal = |sample: &Self| match estimator {
            MmdEstimator::Biased => vec![0.0; sample.n()],
            MmdEstimator::Unbiased => sample.diagonal(kernel),
        };
        let pairs = |count: f64| match estimator {
            MmdEstimator::Biased => count,
            MmdEstimator::Unbiased => count - 1.0,
        };
        let witness =
            |own: &[f64], diagonal: &[f64], own_pairs: f64, cross: &[f64], others: f64| {
                let rows = own.iter().zip(diagonal).zip(cross);
                rows.map(|((k, d), c)| (k - d) / own_pairs - c / others).collect::<Vec<f64>>()
            };
        let g_x = witness(&own_x, &diagonal(self), pairs(n), &cross_x, m);
        let g_y = witness(&own_y, &diagonal(other), pairs(m), &cross_y, n);
        Ok(Mmd {
            value: mean(&g_x) + mean(&g_y),
            se: (4.0 * variance(&g_x) / n + 4.0 * variance(&g_y) / m).sqrt(),
        })
    }

    /// `sum_j k(x_i, x_j)` for each i; half of the blocks are mirrors of the other half.
    pub(crate) fn own_sums(&self, kernel: Kernel) -> Vec<f64> {
        let pairs: Vec<_> =
            (0..self.n_blocks()).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let sums = self.sums_of_blocks(self, &pairs, kernel);
        let mut totals = vec![0.0; self.n()];
        for (&(i, j), (rows, columns)) in pairs.iter().zip(sums) {
            add(&mut totals[self.block(i)], &rows);
            if i != j {
                add(&mut totals[self.block(j)], &columns);
            }
        }
        totals
    }

    /// `sum_j k(x_i, y_j)` for each i, and `sum_i k(x_i, y_j)` for each j.
    pub(crate) fn cross_sums(&self, other: &Self, kernel: Kernel) -> (Vec<f64>, Vec<f64>) {
        let pairs: Vec<_> =
            (0..self.n_blocks()).flat_map(|i| (0..other.n_blocks()).map(move |j| (i, j))).collect();
        let sums = self.sums_of_blocks(other, &pairs, kernel);
        let (mut of_rows, mut of_columns) = (vec![0.0; self.n()], vec![0.0; other.n()]);
        for (&(i, j), (rows, columns)) in pairs.iter().zip(sums) {
            add(&mut of_rows[self.block(i)], &rows);
            add(&mut of_columns[other.block(j)], &columns);
        }
        (of_rows, of_columns)
    }

    /// Sums over the columns and over the rows of each pair of blocks.
    fn sums_of_blocks(
        &self,
        other: &Self,
        pairs: &[(usize, usize)],
        kernel: Kernel,
    ) -> Vec<(Vec<f64>, Vec<f64>)> {
        pairs
            .par_iter()
            .with_max_len(1)
            .map(|&(i, j)| {
                let values = self.kernel_block(self.block(i), (other, other.block(j)), kernel);
                let mut rows = vec![0.0; values.nrows()];
                let mut columns = Vec::with_capacity(values.ncols());
                for column in values.col_iter() {
                    rows.iter_mut().zip(column.iter()).for_each(|(sum, v)| *sum += v);
                    columns.push(column.iter().sum());
                }
                (rows, columns)
            })
            .collect()
    }
}

fn add(totals: &mut [f64], terms: &[f64]) {
    totals.iter_mut().zip(terms).for_each(|(total, term)| *total += term);
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|v| (v - centre) * (v - centre)).sum::<f64>() / (values.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn weyl(n: usize, shift: f64) -> Array2<f64> {
        Array2::from_shape_fn((n, 3), |(i, j)| {
            ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
        })
    }

    /// The definition, pair by pair.
    fn plain(x: &Array2<f64>, y: &Array2<f64>, sigma: f64) -> f64 {
        let mean = |a: &Array2<f64>, b: &Array2<f64>| {
            let kernel = |(u, v): (ndarray::ArrayView1<f64>, ndarray::ArrayView1<f64>)| {
                let squared: f64 = u.iter().zip(&v).map(|(u, v)| (u - v) * (u - v)).sum();
                (-squared / (2.0 * sigma * sigma)).exp()
            };
            let pairs = a.outer_iter().flat_map(|u| b.outer_iter().map(move |v| (u, v)));
            pairs.map(kernel).sum::<f64>() / (a.nrows() * b.nrows()) as f64
        };
        mean(x, x) + mean(y, y) - 2.0 * mean(x, y)
    }

    #[test]
    fn sets_of_more_rows_than_a_block_follow_the_definition() {
        for (n, m) in [(513, 700), (1100, 512), (3, 1025)] {
            let (x, y) = (weyl(n, 0.2), weyl(m, 0.0));
            let ours = mmd(&x, &y, Kernel::Rbf { sigma: 0.7 }, MmdEstimator::Biased).unwrap();
            assert!((ours.value - plain(&x, &y, 0.7)).abs() < 1e-12, "{n} {m}");
        }
    }
}
