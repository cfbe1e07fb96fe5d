//! One side of a Fréchet distance, factorised once.

use super::centred_rows::CentredRows;
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::gaussian::Gaussian;
use crate::linalg::{
    FactorShape, cholesky, congruence_lower, eigen, eigenvalues, gram_lower, product, trace_of_root,
};
use crate::moments::Moments;
use faer::{Mat, MatRef};

/// Negative eigenvalues up to this part of the largest are rounding of single-precision statistics.
const INDEFINITE_TOLERANCE: f64 = 1e-5;

/// Rounding of `F^T S F`, relative to the product of both total variances.
const PRODUCT_ROUNDING: f64 = 1e-12;

/// The reference of a Fréchet distance: a Gaussian and a factor `F` with `F F^T = S_r`.
///
/// `F` is the Cholesky factor; for a covariance that is not of full rank it comes from the eigenvectors, or
/// straight from the centred samples where those are fewer than the features.
///
/// # Examples
/// ```
/// use dubench_metrics::{Gaussian, Reference};
/// use ndarray::{array, Array2};
/// let unit = Gaussian::new(array![0.0, 0.0], Array2::eye(2), None)?;
/// let reference = Reference::new(unit.clone())?;
/// assert!(reference.distance(&unit)? < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reference {
    gaussian: Gaussian,
    /// `[d, r]`.
    pub(super) factor: Mat<f64>,
    shape: FactorShape,
}

/// Largest cross-covariance eigenvalues and what goes with them.
pub(super) struct Spectrum {
    /// Eigenvalues of `F^T S F`, ascending, all of them.
    pub(super) values: Vec<f64>,
    /// Eigenvectors as columns.
    pub(super) vectors: Mat<f64>,
}

impl Reference {
    /// Factorises the covariance of `gaussian`.
    ///
    /// # Errors
    /// [`MetricError::NotPositiveSemidefinite`] if an eigenvalue is negative by more than 1e-5 of the largest.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{Gaussian, MetricError, Reference};
    /// use ndarray::array;
    /// let indefinite = Gaussian::new(array![0.0, 0.0], array![[1.0, 2.0], [2.0, 1.0]], None)?;
    /// assert!(matches!(Reference::new(indefinite), Err(MetricError::NotPositiveSemidefinite { .. })));
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn new(gaussian: Gaussian) -> Result<Self> {
        let covariance = gaussian.covariance_mat();
        let full_rank = gaussian.rank_bound() == gaussian.dim();
        if let Some(factor) = full_rank.then(|| cholesky(covariance.as_ref())).flatten() {
            return Ok(Self { gaussian, factor, shape: FactorShape::LowerTriangular });
        }
        let factor = eigen_factor(covariance.as_ref(), gaussian.rank_bound())?;
        Ok(Self { gaussian, factor, shape: FactorShape::Full })
    }

    /// The reference given by samples `[n, d]`.
    ///
    /// With fewer samples than features the factor is the centred samples over `sqrt(n - 1)`: exact, and
    /// nothing is decomposed.
    ///
    /// # Errors
    /// [`MetricError::TooFewSamples`] below two rows, [`MetricError::NonFinite`] for NaN or infinity.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::Reference;
    /// use ndarray::array;
    /// let reference = Reference::from_features(&array![[0.0_f32, 1.0], [2.0, 5.0]])?; // n = d = 2: no full rank
    /// assert_eq!(reference.gaussian().mean().to_vec(), [1.0, 3.0]);
    /// assert_eq!(reference.gaussian().rank_bound(), 1);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn from_features<'a>(features: impl Into<Features<'a>>) -> Result<Self> {
        let features = features.into();
        let gaussian = Moments::from_rows(features)?.gaussian()?;
        if features.n() > features.dim() {
            return Self::new(gaussian);
        }
        let rows = CentredRows::new(features)?;
        let scale = 1.0 / ((features.n() - 1) as f64).sqrt();
        let factor = Mat::from_fn(features.dim(), features.n(), |j, i| scale * rows.get(i, j));
        Ok(Self { gaussian, factor, shape: FactorShape::Full })
    }

    /// Mean and covariance.
    pub fn gaussian(&self) -> &Gaussian {
        &self.gaussian
    }

    /// `F` `[d, r]`.
    pub(crate) fn factor(&self) -> MatRef<'_, f64> {
        self.factor.as_ref()
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    /// The Fréchet distance to a Gaussian; see [`frechet_distance`](crate::frechet_distance).
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] if the dimensions differ, [`MetricError::NotPositiveSemidefinite`] for
    /// an indefinite covariance.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{Gaussian, Reference};
    /// use ndarray::array;
    /// let reference = Reference::new(Gaussian::new(array![0.0], array![[4.0]], None)?)?;
    /// let sample = Gaussian::new(array![3.0], array![[1.0]], None)?;
    /// assert!((reference.distance(&sample)? - (9.0 + 1.0)).abs() < 1e-12); // (0 - 3)^2 + (2 - 1)^2
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn distance(&self, sample: &Gaussian) -> Result<f64> {
        same_length("the features of the sample", sample.dim(), self.dim())?;
        let cross = self.cross_covariance(sample);
        let values = eigenvalues(cross.as_ref(), "the sample's covariance")?;
        let root = self.root_trace(&values, sample)?;
        Ok(self.assemble(sample, root))
    }

    /// The Fréchet distance to samples `[n, d]`.
    ///
    /// With no more samples than features the trace term is the nuclear norm of `Xc F / sqrt(n - 1)`, from the
    /// `n x n` Gram matrix: exact for a covariance without full rank, where it is also cheaper.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`], [`MetricError::TooFewSamples`] below two rows,
    /// [`MetricError::NonFinite`].
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{Gaussian, Moments, Reference};
    /// use ndarray::{array, Array2};
    /// let reference = Reference::new(Gaussian::new(array![0.0, 0.0, 0.0], Array2::eye(3), None)?)?;
    /// let two_rows = array![[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]];
    /// let thin = reference.distance_to_features(&two_rows)?;
    /// let dense = reference.distance(&Moments::from_rows(&two_rows)?.gaussian()?)?;
    /// assert!((thin - dense).abs() < 1e-7);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn distance_to_features<'a>(&self, features: impl Into<Features<'a>>) -> Result<f64> {
        let features = features.into();
        same_length("the features of the sample", features.dim(), self.dim())?;
        at_least("the sample", features.n(), 2)?;
        if features.n() > self.dim() {
            return self.distance(&Moments::from_rows(features)?.gaussian()?);
        }
        let rows = CentredRows::new(features)?;
        let projected = product(self.factor.transpose(), rows.matrix().transpose());
        let gram = gram_lower(projected.as_ref());
        let values = eigenvalues(gram.as_ref(), "the samples' Gram matrix")?;
        let root = self.gram_root_trace(&values, features.n())?;
        Ok(self.assemble_terms(rows.mean(), rows.total_variance(), root))
    }

    /// `tr (S_r S)^(1/2)` from the eigenvalues of `Xc S_r Xc^T`, of which one is zero by centring.
    pub(crate) fn gram_root_trace(&self, values: &[f64], n: usize) -> Result<f64> {
        let rank = (n - 1).min(self.gaussian.rank_bound());
        let root = trace_of_root(values, rank, f64::INFINITY, "the samples' Gram matrix")?;
        Ok(root / ((n - 1) as f64).sqrt())
    }

    /// `F = |mu_r - mu|^2 + tr S_r + tr S - 2 root`, zero where rounding made it negative.
    pub(crate) fn assemble_terms(&self, mean: &[f64], total_variance: f64, root: f64) -> f64 {
        let mean_term: f64 =
            self.gaussian.mean().iter().zip(mean).map(|(r, m)| (r - m) * (r - m)).sum();
        (mean_term + self.gaussian.total_variance() + total_variance - 2.0 * root).max(0.0)
    }

    pub(super) fn assemble(&self, sample: &Gaussian, root: f64) -> f64 {
        self.assemble_terms(&sample.mean().to_vec(), sample.total_variance(), root)
    }

    /// The lower triangle of `F^T S F`.
    fn cross_covariance(&self, sample: &Gaussian) -> Mat<f64> {
        let covariance = sample.covariance_mat();
        congruence_lower(self.factor.as_ref(), covariance.as_ref(), self.shape)
    }

    pub(super) fn spectrum(&self, sample: &Gaussian) -> Result<Spectrum> {
        let cross = self.cross_covariance(sample);
        let (values, vectors) = eigen(cross.as_ref(), "the sample's covariance")?;
        Ok(Spectrum { values, vectors })
    }

    pub(super) fn root_trace(&self, values: &[f64], sample: &Gaussian) -> Result<f64> {
        let rank = self.gaussian.rank_bound().min(sample.rank_bound());
        let largest = values.last().copied().unwrap_or(0.0);
        let rounding = PRODUCT_ROUNDING * self.gaussian.total_variance() * sample.total_variance();
        let tolerance = INDEFINITE_TOLERANCE * largest + rounding;
        trace_of_root(values, rank, tolerance, "the covariance")
    }
}

/// `U sqrt(L)` of the `rank` largest eigenvalues of `a = U L U^T`, without those that are zero or below.
fn eigen_factor(a: MatRef<'_, f64>, rank: usize) -> Result<Mat<f64>> {
    let what = "the reference covariance";
    let (values, vectors) = eigen(a, what)?;
    let (smallest, largest) = (values[0], values[values.len() - 1]);
    if smallest < -INDEFINITE_TOLERANCE * largest.abs() {
        return Err(MetricError::NotPositiveSemidefinite { what, eigenvalue: smallest, largest });
    }
    let kept: Vec<usize> =
        (values.len() - rank..values.len()).filter(|&j| values[j] > 0.0).collect();
    Ok(Mat::from_fn(a.nrows(), kept.len(), |i, j| vectors[(i, kept[j])] * values[kept[j]].sqrt()))
}
