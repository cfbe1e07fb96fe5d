//! The Gaussian that stands for a set of features.

use crate::error::{MetricError, Result, at_least, same_length};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// How far mirrored entries of a covariance may differ, relative to its largest entry.
const SYMMETRY_TOLERANCE: f64 = 1e-5;

/// A mean and a covariance, with the number of samples behind them where that is known.
///
/// # Examples
/// ```
/// use dubench_metrics::Gaussian;
/// use ndarray::array;
/// let unit = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.0], [0.0, 1.0]], None)?;
/// assert_eq!(unit.dim(), 2);
/// assert!(Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.0, 1.0]], None).is_err());
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    n: Option<usize>,
}

impl Gaussian {
    /// Takes a mean `[d]` and a covariance `[d, d]`, as read from a file of statistics.
    ///
    /// `n` is the number of samples, `None` where the file does not say. The covariance is averaged with its
    /// transpose; a difference above 1e-5 of the largest entry, more than single precision leaves, is refused.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`], [`MetricError::NonFinite`], [`MetricError::NotSymmetric`],
    /// [`MetricError::NotPositiveSemidefinite`] for a negative variance, and
    /// [`MetricError::TooFewSamples`] for `d = 0` or `n < 2`.
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>, n: Option<usize>) -> Result<Self> {
        let dim = mean.len();
        at_least("the mean (its features)", dim, 1)?;
        same_length("the rows of the covariance", covariance.nrows(), dim)?;
        same_length("the columns of the covariance", covariance.ncols(), dim)?;
        if let Some(n) = n {
            at_least("the Gaussian", n, 2)?;
        }
        check_mean(mean.view())?;
        let covariance = symmetrised(covariance.view())?;
        Ok(Self { mean, covariance, n })
    }

    /// From sums that are symmetric and finite by construction.
    pub(crate) fn from_moments(mean: Array1<f64>, covariance: Array2<f64>, n: usize) -> Self {
        Self { mean, covariance, n: Some(n) }
    }

    /// The mean `[d]`.
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// The covariance `[d, d]`, divisor n - 1.
    pub fn covariance(&self) -> ArrayView2<'_, f64> {
        self.covariance.view()
    }

    /// Number of samples, where known.
    pub fn n(&self) -> Option<usize> {
        self.n
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The largest rank that the covariance can have: `min(d, n - 1)`.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Gaussian;
    /// use ndarray::{Array1, Array2};
    /// let of = |n| Gaussian::new(Array1::zeros(5), Array2::eye(5), n);
    /// assert_eq!((of(Some(4))?.rank_bound(), of(Some(40))?.rank_bound(), of(None)?.rank_bound()), (3, 5, 5));
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn rank_bound(&self) -> usize {
        self.n.map_or(self.dim(), |n| self.dim().min(n - 1))
    }

    /// Sum of the variances.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Gaussian;
    /// use ndarray::array;
    /// let gaussian = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.5, 2.0]], None)?;
    /// assert_eq!(gaussian.total_variance(), 3.0);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn total_variance(&self) -> f64 {
        self.covariance.diag().sum()
    }

    /// The covariance as a matrix of faer.
    pub(crate) fn covariance_mat(&self) -> faer::Mat<f64> {
        faer::Mat::from_fn(self.dim(), self.dim(), |i, j| self.covariance[[i, j]])
    }
}

fn check_mean(mean: ArrayView1<'_, f64>) -> Result<()> {
    match mean.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(column) => Err(MetricError::NonFinite {
            what: "the mean",
            row: 0,
            column,
            value: mean[column].to_string(),
        }),
    }
}

fn symmetrised(covariance: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let mut largest = 0.0_f64;
    for ((row, column), value) in covariance.indexed_iter() {
        if !value.is_finite() {
            let value = value.to_string();
            return Err(MetricError::NonFinite { what: "the covariance", row, column, value });
        }
        largest = largest.max(value.abs());
    }
    let mut symmetric = Array2::zeros(covariance.dim());
    for ((row, column), &value) in covariance.indexed_iter() {
        let mirror = covariance[[column, row]];
        let difference = (value - mirror).abs();
        if difference > SYMMETRY_TOLERANCE * largest {
            return Err(MetricError::NotSymmetric {
                what: "the covariance",
                row,
                column,
                difference,
            });
        }
        if row == column && value < 0.0 {
            return Err(MetricError::NotPositiveSemidefinite {
                what: "the covariance (a variance on its diagonal)",
                eigenvalue: value,
                largest,
            });
        }
        symmetric[[row, column]] = 0.5 * (value + mirror);
    }
    Ok(symmetric)
}
