//! The study: kept sets, random sets, and the p-value between them.

use super::pool::Pool;
use super::ranking::kept_rows;
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::frechet::{EstimateOptions, FrechetEstimate, Reference};
use crate::rng::{Subsets, complement};
use rayon::prelude::*;

/// Fréchet distances of random subsets of a pool: what a score without information would give.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomNull {
    /// The distance of each subset, in the order of its index.
    pub fids: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (divisor: number of subsets less one).
    pub sd: f64,
    /// Images kept.
    pub keep: usize,
    /// Seed of the subsets.
    pub seed: u64,
}

/// What a score achieves, beside random subsets of the same size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterOutcome {
    /// Distance of the `keep` images of lowest score.
    pub fid_keep_lowest: f64,
    /// Distance of the `keep` images of highest score.
    pub fid_keep_highest: f64,
    /// Mean distance of random subsets.
    pub fid_random_mean: f64,
    /// Standard deviation of the distance of random subsets.
    pub fid_random_sd: f64,
    /// One-sided: the chance that a random subset is at least as near to the reference as the lowest scores.
    pub p_lowest: f64,
    /// One-sided: the chance that a random subset is at least as near as the highest scores.
    pub p_highest: f64,
    /// Images in the pool.
    pub n: usize,
    /// Images kept.
    pub keep: usize,
}

/// One point of a curve of distance against images kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Images kept.
    pub keep: usize,
    /// Distance of the images of lowest score.
    pub fid_keep_lowest: f64,
    /// Distance of the images of highest score.
    pub fid_keep_highest: f64,
}

/// A pool of samples, prepared for the distances of many subsets.
///
/// Every distance is exact. For pools of at most `2 d` images the Gram matrix `Xc S_r Xc^T` is computed once, and
/// a subset costs the eigenvalues of a `k x k` matrix; for larger pools the dropped rows are taken out of the pool's
/// moments (or the kept ones summed, if they are fewer). Random subsets run in parallel and depend on (seed, index)
/// alone.
///
/// # Examples
/// ```
/// use dubench_metrics::{FilterStudy, Gaussian, Reference};
/// use ndarray::{array, Array2};
/// let reference = Reference::new(Gaussian::new(array![0.0], array![[0.09]], None)?)?;
/// // A pool in which every tenth image is far off, and a score that knows it.
/// let pool = Array2::from_shape_fn((200, 1), |(i, _)| {
///     (i as f64 * 0.618_034).fract() - 0.5 + if i % 10 == 0 { 4.0 } else { 0.0 }
/// });
/// let scores: Vec<f64> = pool.column(0).iter().map(|v| v.abs()).collect();
/// let study = FilterStudy::new(&reference, &pool)?;
/// let null = study.random_null(180, 200, 0)?;
/// let outcome = study.evaluate(&scores, &null)?;
/// assert!(outcome.fid_keep_lowest < outcome.fid_random_mean);
/// assert_eq!(outcome.p_lowest, 1.0 / 201.0);
/// assert!(outcome.p_highest > 0.5);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug)]
pub struct FilterStudy<'a> {
    pool: Pool<'a>,
}

impl<'a> FilterStudy<'a> {
    /// Prepares the pool `features` `[n, d]`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] if the dimension is not that of the reference,
    /// [`MetricError::TooFewSamples`] below five rows (four are kept), [`MetricError::NonFinite`].
    pub fn new(reference: &'a Reference, features: impl Into<Features<'a>>) -> Result<Self> {
        let features = features.into();
        same_length("the features of the pool", features.dim(), reference.dim())?;
        at_least("the pool", features.n(), FrechetEstimate::MIN_ROWS + 1)?;
        Ok(Self { pool: Pool::new(reference, features)? })
    }

    /// Number of images in the pool.
    pub fn n(&self) -> usize {
        self.pool.n()
    }

    /// The distance of the whole pool.
    ///
    /// # Errors
    /// [`MetricError::NotPositiveSemidefinite`] if the covariance is beyond f64.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{FilterStudy, Gaussian, Reference};
    /// use ndarray::{Array2, array};
    /// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
    /// let pool = Array2::from_shape_fn((50, 1), |(i, _)| i as f64 / 25.0);
    /// let study = FilterStudy::new(&reference, &pool)?;
    /// assert!((study.whole()? - reference.distance_to_features(&pool)?).abs() < 1e-12);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn whole(&self) -> Result<f64> {
        self.pool.distance(&(0..self.n()).collect::<Vec<_>>())
    }

    /// The distances of `permutations` random subsets of `keep` images.
    ///
    /// Depends on the pool, not on a score: draw it once for all methods that are compared on one pool.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] unless `4 <= keep < n` ([`FrechetEstimate::MIN_ROWS`]) and there
    /// are at least two subsets.
    pub fn random_null(&self, keep: usize, permutations: usize, seed: u64) -> Result<RandomNull> {
        self.check_keep(keep)?;
        if permutations < 2 {
            return Err(MetricError::out_of_range(
                "the number of random subsets",
                permutations,
                "at least 2; 200 resolve a p-value of 0.005",
            ));
        }
        let subsets = Subsets::new(seed);
        let drawn: Vec<Vec<usize>> =
            (0..permutations).map(|index| subsets.draw(index, self.n(), keep)).collect();
        let fids = self.pool.distances(&drawn)?;
        let count = fids.len() as f64;
        let mean = fids.iter().sum::<f64>() / count;
        let squares: f64 = fids.iter().map(|f| (f - mean) * (f - mean)).sum();
        Ok(RandomNull { mean, sd: (squares / (count - 1.0)).sqrt(), fids, keep, seed })
    }

    /// The distance for infinitely many images of each random subset of a null: every subset is rid of its own bias, by its
    /// own halves, as [`Reference::estimate`] does it with the options given.
    ///
    /// Why not the bias of the pool times `n / keep`? It is not that: with fewer images than features the bias does not fall
    /// as `1 / n`.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] for zero splits or a null of another pool.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::{EstimateOptions, FilterStudy, Gaussian, Reference};
    /// use ndarray::{Array2, array};
    /// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
    /// let pool = Array2::from_shape_fn((50, 1), |(i, _)| i as f64 / 25.0);
    /// let study = FilterStudy::new(&reference, &pool)?;
    /// let null = study.random_null(40, 10, 0)?;
    /// let values = study.random_inf(&null, &EstimateOptions::default())?;
    /// assert!(values.iter().sum::<f64>() / 10.0 < null.mean);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn random_inf(&self, null: &RandomNull, options: &EstimateOptions) -> Result<Vec<f64>> {
        self.check_keep(null.keep)?;
        if options.splits == 0 {
            return Err(MetricError::out_of_range("the number of splits", 0, "at least 1"));
        }
        let subsets = Subsets::new(null.seed);
        let places = Subsets::new(options.seed);
        let halves_of = |index: usize| {
            let kept = subsets.draw(index, self.n(), null.keep);
            let half = move |split: usize| {
                let first = places.draw(split, kept.len(), kept.len() / 2);
                let second = complement(&first, kept.len());
                [first, second].map(|places| places.iter().map(|&at| kept[at]).collect::<Vec<_>>())
            };
            (0..options.splits).flat_map(half)
        };
        let halves: Vec<Vec<usize>> = (0..null.fids.len()).flat_map(halves_of).collect();
        let of_halves = self.pool.distances(&halves)?;
        let each = 2 * options.splits;
        let inf =
            |(fid, halves): (&f64, &[f64])| 2.0 * fid - halves.iter().sum::<f64>() / each as f64;
        Ok(null.fids.iter().zip(of_halves.chunks_exact(each)).map(inf).collect())
    }

    /// The distances of the kept sets of a score (one number an image), beside a null of the same size.
    ///
    /// `p = (1 + #{null <= observed}) / (1 + #null)`, which never is zero. Among equal scores the image of lower
    /// index is kept, in both directions, so a constant score keeps the first images and gets an arbitrary p.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] unless there is one score an image, [`MetricError::NonFinite`] for NaN.
    pub fn evaluate(&self, scores: &[f64], null: &RandomNull) -> Result<FilterOutcome> {
        let point = self.point(scores, null.keep)?;
        Ok(FilterOutcome {
            fid_keep_lowest: point.fid_keep_lowest,
            fid_keep_highest: point.fid_keep_highest,
            fid_random_mean: null.mean,
            fid_random_sd: null.sd,
            p_lowest: null.p_at_most(point.fid_keep_lowest),
            p_highest: null.p_at_most(point.fid_keep_highest),
            n: self.n(),
            keep: null.keep,
        })
    }

    /// The distances of the kept sets of a score for several sizes.
    ///
    /// # Errors
    /// As [`FilterStudy::evaluate`], and [`MetricError::OutOfRange`] unless `4 <= keep < n`.
    pub fn curve(&self, scores: &[f64], keeps: &[usize]) -> Result<Vec<CurvePoint>> {
        keeps.par_iter().with_max_len(1).map(|&keep| self.point(scores, keep)).collect()
    }

    fn point(&self, scores: &[f64], keep: usize) -> Result<CurvePoint> {
        self.check_keep(keep)?;
        let kept = kept_rows(scores, self.n(), keep)?;
        let (lowest, highest) =
            rayon::join(|| self.pool.distance(&kept.lowest), || self.pool.distance(&kept.highest));
        Ok(CurvePoint { keep, fid_keep_lowest: lowest?, fid_keep_highest: highest? })
    }

    fn check_keep(&self, keep: usize) -> Result<()> {
        let least = FrechetEstimate::MIN_ROWS;
        if (least..self.n()).contains(&keep) {
            return Ok(());
        }
        let accepted = format!("{least} or more and below the {} images of the pool", self.n());
        Err(MetricError::out_of_range("the number of images to keep", keep, accepted))
    }
}

impl RandomNull {
    /// How many subsets lie as far from their mean as `observed`, to either side.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::RandomNull;
    /// let null = RandomNull { fids: vec![3.0, 4.0, 5.0, 6.0], mean: 4.5, sd: 1.29, keep: 10, seed: 0 };
    /// assert_eq!((null.as_far(6.0), null.as_far(4.0), null.as_far(7.0)), (2, 4, 0));
    /// ```
    pub fn as_far(&self, observed: f64) -> usize {
        let distance = (observed - self.mean).abs();
        self.fids.iter().filter(|fid| (*fid - self.mean).abs() >= distance).count()
    }

    /// The least p-value that the null can give: `1 / (1 + #null)`. One that stands there means "at most".
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::RandomNull;
    /// let null = RandomNull { fids: vec![3.0; 199], mean: 3.0, sd: 0.0, keep: 10, seed: 0 };
    /// assert_eq!(null.floor(), 0.005);
    /// ```
    pub fn floor(&self) -> f64 {
        1.0 / (1 + self.fids.len()) as f64
    }

    /// `(1 + #{null <= observed}) / (1 + #null)`.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::RandomNull;
    /// let null = RandomNull { fids: vec![3.0, 4.0, 5.0, 6.0], mean: 4.5, sd: 1.29, keep: 10, seed: 0 };
    /// assert_eq!(null.p_at_most(4.0), 3.0 / 5.0); // two of four, and the observed one itself
    /// assert_eq!(null.p_at_most(0.0), 1.0 / 5.0);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn p_at_most(&self, observed: f64) -> f64 {
        let at_most = self.fids.iter().filter(|&&f| f <= observed).count();
        (1 + at_most) as f64 / (1 + self.fids.len()) as f64
    }
}
