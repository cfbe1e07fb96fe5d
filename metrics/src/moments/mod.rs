//! Streaming first and second moments.

mod block;
mod outer;

use crate::compensated::{CompensatedSums, add_all};
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::gaussian::Gaussian;
use block::Block;
use ndarray::{Array1, Array2};
use outer::OuterProducts;

/// Rows of one block. The sums of a block are rounded once, whatever is done with the blocks afterwards.
pub const BLOCK_ROWS: usize = 1024;

/// Variance over mean square below which a feature is constant: a block of equal squares is summed to about this.
const CONSTANT: f64 = 1e-13;

/// The number of samples, their sum and the sum of their outer products.
///
/// `n`, `S_1 = sum_i x_i` and `S_2 = sum_i x_i x_i^T`, from which the mean is `S_1 / n` and the covariance
/// `(S_2 - n mean mean^T) / (n - 1)`. Sums are f64 over fixed blocks of [`BLOCK_ROWS`] rows in index order,
/// and the blocks are added with their rounding errors kept, so that the result has the same bits
/// - for any number of threads,
/// - however the rows are cut into calls of [`MomentsBuilder::push`],
/// - for shards that hold whole blocks and are merged in any order (unless a sum lies within 2^-100 of its
///   size of a rounding boundary).
///
/// Needs about `8 d^2` bytes: 37 MB at d = 2048, and 34 MB more while rows are added.
///
/// # Examples
/// ```
/// use dubench_metrics::Moments;
/// use ndarray::array;
/// let rows = array![[1.0, 0.0], [3.0, 4.0], [2.0, 2.0]];
/// let gaussian = Moments::from_rows(&rows)?.gaussian()?;
/// assert_eq!(gaussian.mean().to_vec(), [2.0, 2.0]);
/// assert_eq!(gaussian.covariance()[[0, 1]], 2.0); // divisor n - 1
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Moments {
    n: usize,
    dim: usize,
    sum: CompensatedSums,
    outer: OuterProducts,
}

impl Moments {
    /// The moments of no rows.
    pub fn empty(dim: usize) -> Self {
        Self { n: 0, dim, sum: CompensatedSums::zeros(dim), outer: OuterProducts::zeros(dim) }
    }

    /// The moments of all rows of `features` `[n, d]`.
    ///
    /// # Errors
    /// [`MetricError::NonFinite`](crate::MetricError::NonFinite) for NaN or infinity.
    pub fn from_rows<'a>(features: impl Into<Features<'a>>) -> Result<Self> {
        let features = features.into();
        let mut builder = MomentsBuilder::new(features.dim());
        builder.push(features)?;
        Ok(builder.finish())
    }

    /// The moments of the rows `indices`, in that order.
    ///
    /// # Errors
    /// [`MetricError::NonFinite`](crate::MetricError::NonFinite) for NaN or infinity,
    /// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) for an index past the last row.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Moments;
    /// use ndarray::array;
    /// let rows = array![[1.0], [100.0], [3.0]];
    /// let gaussian = Moments::from_selected(&rows, &[0, 2])?.gaussian()?;
    /// assert_eq!((gaussian.mean()[0], gaussian.covariance()[[0, 0]]), (2.0, 2.0));
    /// assert!(Moments::from_selected(&rows, &[3]).is_err());
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn from_selected<'a>(features: impl Into<Features<'a>>, indices: &[usize]) -> Result<Self> {
        let features = features.into();
        let mut builder = MomentsBuilder::new(features.dim());
        builder.push_selected(features, indices)?;
        Ok(builder.finish())
    }

    /// Number of samples.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Takes the samples of `other` in.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`](crate::MetricError::LengthMismatch) if the dimensions differ.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Moments;
    /// use ndarray::{Array2, s};
    /// let rows = Array2::from_shape_fn((3000, 2), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
    /// let mut late = Moments::from_rows(rows.slice(s![2048.., ..]))?; // shards of whole blocks, in any order
    /// late.merge(&Moments::from_rows(rows.slice(s![..2048, ..]))?)?;
    /// assert_eq!(late.gaussian()?, Moments::from_rows(&rows)?.gaussian()?);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        same_length("the dimension of the merged moments", other.dim, self.dim)?;
        self.n += other.n;
        self.sum.add_scaled(&other.sum, 1.0);
        self.outer.add_scaled(&other.outer, 1.0);
        Ok(())
    }

    /// Takes the samples of `other`, which must be among those of `self`, out again.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`](crate::MetricError::LengthMismatch) if the dimensions differ,
    /// [`MetricError::TooFewSamples`](crate::MetricError::TooFewSamples) if `other` has more samples.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Moments;
    /// use ndarray::{array, s};
    /// let rows = array![[1.0, 0.5], [3.0, 4.0], [2.0, 2.0], [9.0, 1.0]];
    /// let mut kept = Moments::from_rows(&rows)?;
    /// kept.remove(&Moments::from_rows(rows.slice(s![3.., ..]))?)?;
    /// let direct = Moments::from_rows(rows.slice(s![..3, ..]))?;
    /// assert_eq!(kept.gaussian()?, direct.gaussian()?);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn remove(&mut self, other: &Self) -> Result<()> {
        same_length("the dimension of the removed moments", other.dim, self.dim)?;
        at_least("the set that rows are removed from", self.n, other.n)?;
        self.n -= other.n;
        self.sum.add_scaled(&other.sum, -1.0);
        self.outer.add_scaled(&other.outer, -1.0);
        Ok(())
    }

    /// The mean and the covariance with divisor n - 1.
    ///
    /// A feature whose variance is below the rounding of its own square, as in n copies of one image, has none: it
    /// would be noise of either sign.
    ///
    /// # Errors
    /// [`MetricError::TooFewSamples`](crate::MetricError::TooFewSamples) below two samples;
    /// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) where squares are beyond f64.
    pub fn gaussian(&self) -> Result<Gaussian> {
        at_least("the sample of a covariance", self.n, 2)?;
        // A square that is no number would pass for a feature that does not vary.
        let mut squares = (0..self.dim).map(|i| self.outer.value(i, i));
        if let Some(square) = squares.find(|square| !square.is_finite()) {
            let expected = "a number that float64 holds: scale all sets down by one factor";
            return Err(MetricError::out_of_range(
                "the sum of squares of a feature",
                square,
                expected,
            ));
        }
        let n = self.n as f64;
        let mean = Array1::from_shape_fn(self.dim, |i| self.sum.value(i) / n);
        let mut covariance = Array2::zeros((self.dim, self.dim));
        let varies: Vec<bool> = (0..self.dim)
            .map(|i| {
                let square = self.outer.value(i, i);
                square - n * mean[i] * mean[i] > CONSTANT * square
            })
            .collect();
        for i in (0..self.dim).filter(|&i| varies[i]) {
            for j in (0..=i).filter(|&j| varies[j]) {
                let centred = self.outer.value(i, j) - n * mean[i] * mean[j];
                let value = centred / (n - 1.0);
                covariance[[i, j]] = value;
                covariance[[j, i]] = value;
            }
        }
        Ok(Gaussian::from_moments(mean, covariance, self.n))
    }
}

/// Collects rows into [`Moments`], a batch at a time.
///
/// # Examples
/// ```
/// use dubench_metrics::{Moments, MomentsBuilder};
/// use ndarray::{Array2, s};
/// let rows = Array2::from_shape_fn((3000, 3), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
/// let mut builder = MomentsBuilder::new(3);
/// for batch in [s![0..100, ..], s![100..2100, ..], s![2100..3000, ..]] {
///     builder.push(rows.slice(batch))?;
/// }
/// assert_eq!(builder.finish().gaussian()?, Moments::from_rows(&rows)?.gaussian()?);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MomentsBuilder {
    moments: Moments,
    /// Rows of the block under way.
    pending: Block,
}

impl MomentsBuilder {
    /// No rows yet, of `dim` features each.
    pub fn new(dim: usize) -> Self {
        Self { moments: Moments::empty(dim), pending: Block::new(dim) }
    }

    /// Adds all rows of `features`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`](crate::MetricError::LengthMismatch) if the dimension differs,
    /// [`MetricError::NonFinite`](crate::MetricError::NonFinite) for NaN or infinity; rows before it stay in.
    pub fn push<'a>(&mut self, features: impl Into<Features<'a>>) -> Result<()> {
        let features = features.into();
        self.push_all(features, 0..features.n())
    }

    /// Adds the rows `indices` of `features`, in that order.
    ///
    /// # Errors
    /// As [`MomentsBuilder::push`], and [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) for an
    /// index past the last row.
    pub fn push_selected<'a>(
        &mut self,
        features: impl Into<Features<'a>>,
        indices: &[usize],
    ) -> Result<()> {
        let features = features.into();
        check_indices(indices, features.n())?;
        self.push_all(features, indices.iter().copied())
    }

    /// The moments of all rows so far.
    pub fn finish(mut self) -> Moments {
        self.flush();
        self.moments
    }

    fn push_all(
        &mut self,
        features: Features<'_>,
        rows: impl Iterator<Item = usize>,
    ) -> Result<()> {
        same_length("the feature axis of the rows", features.dim(), self.moments.dim)?;
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let next: Vec<usize> = rows.by_ref().take(self.pending.room()).collect();
            self.pending.extend(features, &next)?;
            if self.pending.room() == 0 {
                self.flush();
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.moments.n += self.pending.rows();
        let (high, low) = self.moments.sum.parts_mut();
        add_all(high, low, &self.pending.sums());
        self.moments.outer.add(&self.pending);
        self.pending.clear();
    }
}

/// Refuses an index past the last row.
pub(crate) fn check_indices(indices: &[usize], n: usize) -> Result<()> {
    match indices.iter().find(|&&i| i >= n) {
        None => Ok(()),
        Some(i) => Err(crate::MetricError::out_of_range(
            "a row index",
            i,
            format!("below the number of rows, {n}"),
        )),
    }
}
