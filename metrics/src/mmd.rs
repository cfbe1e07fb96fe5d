//! Maximum mean discrepancy: the distance of two sets in the space of a kernel.

use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::linalg::row_major;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;

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

    fn n(&self) -> usize {
        self.norms.len()
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
        let (own_x, own_y) = (self.row_sums(self, kernel), other.row_sums(other, kernel));
        let (cross_x, cross_y) = (self.row_sums(other, kernel), other.row_sums(self, kernel));
        let diagonal = |sample: &Self| match estimator {
            MmdEstimator::Biased => vec![0.0; sample.n()],
            MmdEstimator::Unbiased => {
                sample.norms.iter().map(|&norm| kernel.value(norm, 2.0 * norm, self.dim)).collect()
            }
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

    /// `sum_j k(x_i, y_j)` for each i.
    fn row_sums(&self, other: &Self, kernel: Kernel) -> Vec<f64> {
        let starts: Vec<usize> = (0..self.n()).step_by(BLOCK).collect();
        let blocks: Vec<Vec<f64>> = starts
            .par_iter()
            .map(|&start| {
                let height = BLOCK.min(self.n() - start);
                let mut sums = vec![0.0; height];
                for other_start in (0..other.n()).step_by(BLOCK) {
                    self.add_block(other, kernel, (start, other_start), &mut sums);
                }
                sums
            })
            .collect();
        blocks.concat()
    }

    fn add_block(
        &self,
        other: &Self,
        kernel: Kernel,
        (start, other_start): (usize, usize),
        sums: &mut [f64],
    ) {
        let width = BLOCK.min(other.n() - other_start);
        let mut products = Mat::<f64>::zeros(sums.len(), width);
        matmul(
            products.as_mut(),
            Accum::Replace,
            row_major(&self.rows[start * self.dim..], sums.len(), self.dim),
            row_major(&other.rows[other_start * self.dim..], width, self.dim).transpose(),
            1.0,
            Par::Seq,
        );
        for (j, column) in products.col_iter().enumerate() {
            let norm = other.norms[other_start + j];
            for (i, (sum, &product)) in sums.iter_mut().zip(column.iter()).enumerate() {
                *sum += kernel.value(product, norm + self.norms[start + i], self.dim);
            }
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|v| (v - centre) * (v - centre)).sum::<f64>() / (values.len() - 1) as f64
}
