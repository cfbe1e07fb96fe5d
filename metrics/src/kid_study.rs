//! Kernel distances of many subsets of one pool, and of pairs.

#[cfg(test)]
mod tests;

use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::mmd::{Kernel, Sample};
use crate::rng::{SplitMix64, Subsets};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// A kernel distance of one set, with its error bar over new images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KidEstimate {
    /// The unbiased squared MMD of all its images to the reference, kernel `(x.y / d + 1)^3`.
    pub kid: f64,
    /// Standard error of `kid` over new images, the reference held fixed: `2 sd(g) / sqrt(n)` with `g` the mean kernel of an
    /// image to the other images of its set less that to the reference.
    pub se: f64,
    /// Images in the set.
    pub n: usize,
}

/// A pool of images, prepared for the unbiased KID of many of its subsets.
///
/// KID has no bias of few images, where the Fréchet distance of fewer images than features is mostly bias. Here it is taken
/// over all images of a set and not over subsets of a thousand ([`kid`](crate::kid)): one number, which depends on no draw.
///
/// # Examples
/// ```
/// use dubench_metrics::{Kernel, KidStudy, MmdEstimator, mmd};
/// use ndarray::Array2;
/// let rows = |n: usize, shift: f64| {
///     Array2::from_shape_fn((n, 3), |(i, j)| ((i + 1) as f64 * (j as f64 + 2.0).sqrt()).fract() + shift)
/// };
/// let (pool, real) = (rows(40, 0.1), rows(60, 0.0));
/// let study = KidStudy::new(&pool, &real)?;
/// let whole = study.sets(&[(0..40).collect()])?.remove(0);
/// let direct = mmd(&pool, &real, Kernel::Cubic, MmdEstimator::Unbiased)?;
/// assert!((whole.kid - direct.value).abs() < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug)]
pub struct KidStudy {
    pool: Sample,
    /// Mean kernel of each image of the pool to the reference.
    cross: Vec<f64>,
    /// Mean kernel between different images of the reference.
    real: f64,
}

impl KidStudy {
    /// Prepares `pool` `[n, d]` against `real` `[m, d]`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] if the dimensions differ, [`MetricError::TooFewSamples`] below two rows,
    /// [`MetricError::NonFinite`].
    pub fn new<'a, 'b>(
        pool: impl Into<Features<'a>>,
        real: impl Into<Features<'b>>,
    ) -> Result<Self> {
        let (pool, real) = (pool.into(), real.into());
        same_length("the features of the reference", real.dim(), pool.dim())?;
        let pool = Sample::new(pool, "the pool")?;
        let real = Sample::new(real, "the reference")?;
        let count = real.n() as f64;
        let (cross, _) = pool.cross_sums(&real, Kernel::Cubic);
        let cross = cross.into_iter().map(|sum| sum / count).collect();
        Ok(Self { pool, cross, real: mean_of_pairs(&real) })
    }

    /// KID of each set of rows, with its error bar.
    ///
    /// # Errors
    /// [`MetricError::TooFewSamples`] for a set of fewer than two rows, [`MetricError::OutOfRange`] for a row that the pool
    /// does not have.
    pub fn sets(&self, sets: &[Vec<usize>]) -> Result<Vec<KidEstimate>> {
        let n = self.pool.n();
        let mut members = Mat::<f64>::zeros(n, sets.len());
        for (column, rows) in sets.iter().enumerate() {
            at_least("a set of images for KID", rows.len(), 2)?;
            for &row in rows {
                if row >= n {
                    let accepted = format!("below the {n} images of the pool");
                    return Err(MetricError::out_of_range("a row of the pool", row, accepted));
                }
                members[(row, column)] = 1.0;
            }
        }
        let sums = self.sums(members.as_ref());
        let diagonal = self.pool.diagonal(Kernel::Cubic);
        let estimate = |(column, rows): (usize, &Vec<usize>)| {
            let others = (rows.len() - 1) as f64;
            let witness =
                |&row: &usize| (sums[(row, column)] - diagonal[row]) / others - self.cross[row];
            let witness: Vec<f64> = rows.iter().map(witness).collect();
            let cross = rows.iter().map(|&row| self.cross[row]).sum::<f64>() / rows.len() as f64;
            let kid = mean(&witness) - cross + self.real;
            KidEstimate { kid, se: 2.0 * se_of_mean(&witness), n: rows.len() }
        };
        Ok(sets.iter().enumerate().map(estimate).collect())
    }

    /// KID of random subsets of `keep` images: the subsets that
    /// [`FilterStudy::random_null`](crate::FilterStudy::random_null) draws from the same seed.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] unless `2 <= keep <= n`.
    pub fn random(&self, keep: usize, permutations: usize, seed: u64) -> Result<Vec<f64>> {
        let n = self.pool.n();
        if !(2..=n).contains(&keep) {
            let accepted = format!("2 to the {n} images of the pool");
            return Err(MetricError::out_of_range("the number of images to keep", keep, accepted));
        }
        let subsets = Subsets::new(seed);
        let drawn: Vec<Vec<usize>> =
            (0..permutations).map(|index| subsets.draw(index, n, keep)).collect();
        Ok(self.sets(&drawn)?.into_iter().map(|set| set.kid).collect())
    }

    /// `sum_j k(x_i, x_j) m_jp` `[n, sets]`.
    fn sums(&self, members: MatRef<'_, f64>) -> Mat<f64> {
        let of_block = |i: usize| {
            let rows = self.pool.block(i);
            let mut sums = Mat::<f64>::zeros(rows.len(), members.ncols());
            for j in 0..self.pool.n_blocks() {
                let columns = self.pool.block(j);
                let other = (&self.pool, columns.clone());
                let kernels = self.pool.kernel_block(rows.clone(), other, Kernel::Cubic);
                let chosen = members.subrows(columns.start, columns.len());
                matmul(sums.as_mut(), Accum::Add, kernels.as_ref(), chosen, 1.0, Par::Seq);
            }
            sums
        };
        let blocks: Vec<Mat<f64>> =
            (0..self.pool.n_blocks()).into_par_iter().with_max_len(1).map(of_block).collect();
        let mut all = Mat::<f64>::zeros(self.pool.n(), members.ncols());
        for (i, block) in blocks.iter().enumerate() {
            let rows = self.pool.block(i);
            all.as_mut().subrows_mut(rows.start, rows.len()).copy_from(block);
        }
        all
    }
}

/// A difference of two kernel distances over pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KidComparison {
    /// The first set.
    pub a: KidEstimate,
    /// The second set.
    pub b: KidEstimate,
    /// First minus second.
    pub delta: f64,
    /// Standard error of `delta` over new pairs: `2 sd(g_a - g_b) / sqrt(n)`.
    pub se: f64,
    /// How many exchanges gave a difference at least as large, to either side.
    pub as_far: usize,
    /// Exchanges drawn.
    pub permutations: usize,
}

impl KidComparison {
    /// `(1 + as_far) / (1 + permutations)`: never zero, and no less than its floor `1 / (1 + permutations)`.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::compare_kid_paired;
    /// use ndarray::Array2;
    /// let real = Array2::from_shape_fn((50, 2), |(i, j)| ((i + 1) as f64 * (j as f64 + 2.0).sqrt()).fract());
    /// let (near, far) = (&real + 0.1, &real + 0.5);
    /// let comparison = compare_kid_paired((&far).into(), (&near).into(), (&real).into(), (99, 0))?;
    /// assert!(comparison.delta > 0.0);
    /// assert_eq!(comparison.p(), 1.0 / 100.0);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn p(&self) -> f64 {
        (1 + self.as_far) as f64 / (1 + self.permutations) as f64
    }
}

/// Compares the kernel distances of two sets whose rows correspond, by exchanging the members of pairs.
///
/// Where the two sets do not differ, the members of each pair may be exchanged; `permutations` times each pair is, with
/// probability 1/2. The kernel between the two sets cancels in the difference of two unbiased KIDs, which is linear in the
/// exchanges: `sum_i s_i (h(a_i) - h(b_i))` with `s_i = +-1`.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the numbers of rows or features differ, [`MetricError::TooFewSamples`] below two rows,
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for no permutations.
pub fn compare_kid_paired(
    a: Features<'_>,
    b: Features<'_>,
    real: Features<'_>,
    (permutations, seed): (usize, u64),
) -> Result<KidComparison> {
    same_length("the features of the second sample", b.dim(), a.dim())?;
    same_length("the second of two paired samples", b.n(), a.n())?;
    same_length("the features of the reference", real.dim(), a.dim())?;
    if permutations == 0 {
        return Err(MetricError::out_of_range("the number of exchanges", 0, "at least 1"));
    }
    let (a, b) = (Sample::new(a, "the first sample")?, Sample::new(b, "the second sample")?);
    let real = Sample::new(real, "the reference")?;
    let kernel = Kernel::Cubic;
    let (n, m, between_real) = (a.n(), real.n() as f64, mean_of_pairs(&real));
    let (to_b, to_a) = a.cross_sums(&b, kernel);
    let one = |own: &Sample, others: &[f64]| {
        let diagonal = own.diagonal(kernel);
        let within: Vec<f64> =
            own.own_sums(kernel).iter().zip(&diagonal).map(|(sum, d)| sum - d).collect();
        let (cross, _) = own.cross_sums(&real, kernel);
        let pairs = (n - 1) as f64;
        let witness: Vec<f64> =
            within.iter().zip(&cross).map(|(own, cross)| own / pairs - cross / m).collect();
        let kid = mean(&witness) - mean(&cross) / m + between_real;
        let estimate = KidEstimate { kid, se: 2.0 * se_of_mean(&witness), n };
        let scale = n as f64 * pairs;
        let term = |i: usize| (within[i] + others[i]) / scale - 2.0 * cross[i] / (m * n as f64);
        (estimate, witness, (0..n).map(term).collect::<Vec<f64>>())
    };
    let (of_a, witness_a, terms_a) = one(&a, &to_b);
    let (of_b, witness_b, terms_b) = one(&b, &to_a);
    let differences =
        |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x - y).collect() };
    let terms = differences(&terms_a, &terms_b);
    let delta: f64 = terms.iter().sum();
    let as_far =
        exchanges(&terms, permutations, seed).filter(|d| at_least_as_far(*d, delta)).count();
    let se = 2.0 * se_of_mean(&differences(&witness_a, &witness_b));
    Ok(KidComparison { a: of_a, b: of_b, delta, se, as_far, permutations })
}

/// Whether a difference is as large as the observed one, to either side; equal but for the order of its sum counts.
fn at_least_as_far(drawn: f64, observed: f64) -> bool {
    drawn.abs() >= observed.abs() * (1.0 - 1e-12)
}

/// `sum_i s_i terms_i` for random signs.
fn exchanges(terms: &[f64], permutations: usize, seed: u64) -> impl Iterator<Item = f64> {
    (0..permutations).map(move |index| {
        let mut stream = SplitMix64::keyed(seed, index as u64);
        let signed = |chunk: &[f64]| -> f64 {
            let word = stream.next_u64();
            let sign = |at: usize| if (word >> at) & 1 == 0 { 1.0 } else { -1.0 };
            chunk.iter().enumerate().map(|(at, term)| sign(at) * term).sum()
        };
        terms.chunks(64).map(signed).sum()
    })
}

/// `mean k(x, x')` over different rows.
fn mean_of_pairs(sample: &Sample) -> f64 {
    let kernel = Kernel::Cubic;
    let sums = sample.own_sums(kernel);
    let total: f64 = sums.iter().zip(sample.diagonal(kernel)).map(|(sum, d)| sum - d).sum();
    total / (sample.n() as f64 * (sample.n() - 1) as f64)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn se_of_mean(values: &[f64]) -> f64 {
    let (n, centre) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}
