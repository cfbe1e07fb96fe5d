//! Kernel inception distance.

use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::mmd::{Kernel, MmdEstimator, Sample};
use crate::mt19937::RandomState;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// The subsets over which KID is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KidOptions {
    /// Number of subsets.
    pub subsets: usize,
    /// Images of each set in a subset.
    pub subset_size: usize,
    /// Seed of `numpy.random.RandomState`.
    pub seed: u32,
}

impl Default for KidOptions {
    /// 100 subsets of 1000, seed 2020: torch-fidelity.
    fn default() -> Self {
        Self { subsets: 100, subset_size: 1000, seed: 2020 }
    }
}

/// A kernel inception distance.
#[derive(Debug, Clone, PartialEq)]
pub struct Kid {
    /// Mean over the subsets.
    pub kid: f64,
    /// Population standard deviation over the subsets, as torch-fidelity reports it. It describes a subset, not the
    /// mean: subsets overlap, so it does not shrink as a standard error does.
    pub sd: f64,
    /// The value of each subset.
    pub values: Vec<f64>,
}

/// KID of `fake` `[n, d]` against `real` `[m, d]`: the mean unbiased squared MMD with the kernel `(x.y / d + 1)^3` over
/// random subsets (arXiv:1801.01401).
///
/// The subsets are those of torch-fidelity: one stream, and for each subset first a choice without replacement from
/// `fake` (its first input), then one from `real`. DIFFERENCE: the kernel is f64 where torch-fidelity's is f32, so
/// digits after the sixth differ.
///
/// # Errors
/// [`MetricError::TooFewSamples`] if a set is smaller than a subset, [`MetricError::LengthMismatch`],
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for no subsets or subsets of one.
///
/// # Examples
/// ```
/// use dubench_metrics::{KidOptions, kid};
/// use ndarray::Array2;
/// let real = Array2::from_shape_fn((60, 4), |(i, j)| ((i * 7 + j * 5) % 13) as f64 / 13.0);
/// let options = KidOptions { subsets: 10, subset_size: 30, ..KidOptions::default() };
/// let far = kid(&(&real + 2.0), &real, &options)?;
/// let near = kid(&(&real + 0.1), &real, &options)?;
/// assert!(far.kid > near.kid && near.kid > 0.0);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn kid<'a, 'b>(
    fake: impl Into<Features<'a>>,
    real: impl Into<Features<'b>>,
    options: &KidOptions,
) -> Result<Kid> {
    let (fake, real) = (fake.into(), real.into());
    same_length("the features of the real set", real.dim(), fake.dim())?;
    if options.subsets == 0 || options.subset_size < 2 {
        return Err(MetricError::out_of_range(
            "the subsets of KID",
            format!("{} of size {}", options.subsets, options.subset_size),
            "at least 1 of size 2 or more",
        ));
    }
    at_least("the fake set (for one KID subset)", fake.n(), options.subset_size)?;
    at_least("the real set (for one KID subset)", real.n(), options.subset_size)?;
    fake.check_finite("the fake set")?;
    real.check_finite("the real set")?;
    let mut stream = RandomState::new(options.seed);
    let draws: Vec<Draw> = (0..options.subsets)
        .map(|_| {
            let fake = stream.choice(fake.n(), options.subset_size);
            Draw { fake, real: stream.choice(real.n(), options.subset_size) }
        })
        .collect();
    let values = if shares_pay(fake.n(), real.n(), options) {
        of_shared_kernels(fake, real, &draws)?
    } else {
        of_each_subset(fake, real, &draws)?
    };
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Ok(Kid { kid: mean, sd: (squares / count).sqrt(), values })
}

/// The rows of one subset.
struct Draw {
    fake: Vec<usize>,
    real: Vec<usize>,
}

/// Whether the kernels between all rows are fewer than those between the rows of each subset, which share rows.
fn shares_pay(n_fake: usize, n_real: usize, options: &KidOptions) -> bool {
    let all = (n_fake + n_real) as f64;
    let each = 2.0 * options.subset_size as f64;
    all * all < options.subsets as f64 * each * each
}

fn of_each_subset(fake: Features<'_>, real: Features<'_>, draws: &[Draw]) -> Result<Vec<f64>> {
    draws
        .par_iter()
        .with_max_len(1)
        .map(|draw| {
            let x = Sample::of_rows(fake, draw.fake.iter().copied(), "the fake set")?;
            let y = Sample::of_rows(real, draw.real.iter().copied(), "the real set")?;
            Ok(x.compare(&y, Kernel::Cubic, MmdEstimator::Unbiased)?.value)
        })
        .collect()
}

/// The same, with every kernel value computed once: with 0 or 1 for "in subset t" in the columns of A and B, the sum
/// over the pairs of subset t is `(A^T K B)_tt`.
fn of_shared_kernels(fake: Features<'_>, real: Features<'_>, draws: &[Draw]) -> Result<Vec<f64>> {
    let members = |n: usize, rows: fn(&Draw) -> &[usize]| {
        let mut members = Mat::<f64>::zeros(n, draws.len());
        for (t, draw) in draws.iter().enumerate() {
            rows(draw).iter().for_each(|&i| members[(i, t)] = 1.0);
        }
        members
    };
    let of_fake = members(fake.n(), |draw| &draw.fake);
    let of_real = members(real.n(), |draw| &draw.real);
    let (x, y) = (Sample::new(fake, "the fake set")?, Sample::new(real, "the real set")?);
    let own_x = sums_within(&x, of_fake.as_ref());
    let own_y = sums_within(&y, of_real.as_ref());
    let cross = sums((&x, of_fake.as_ref()), (&y, of_real.as_ref()));
    let values = own_x.iter().zip(&own_y).zip(&cross).zip(draws);
    Ok(values
        .map(|(((x, y), cross), draw)| {
            let m = draw.fake.len() as f64;
            (x + y) / (m * (m - 1.0)) - 2.0 * cross / (m * m)
        })
        .collect())
}

/// Rows, and the subsets that they belong to.
type Members<'a> = (&'a Sample, MatRef<'a, f64>);

/// `sum_{i != j} k(x_i, x_j)` over the pairs of each subset.
fn sums_within(sample: &Sample, members: MatRef<'_, f64>) -> Vec<f64> {
    let mut totals = sums((sample, members), (sample, members));
    let diagonal = sample.diagonal(Kernel::Cubic);
    for (total, column) in totals.iter_mut().zip(members.col_iter()) {
        *total -= column.iter().zip(&diagonal).map(|(member, d)| member * d).sum::<f64>();
    }
    totals
}

/// `sum k(x_i, y_j)` over the pairs of each subset. Of a set and itself, each pair of blocks is computed once.
fn sums((x, of_x): Members<'_>, (y, of_y): Members<'_>) -> Vec<f64> {
    let within = std::ptr::eq(x, y);
    let pairs: Vec<(usize, usize)> = (0..x.n_blocks())
        .flat_map(|i| (0..if within { i + 1 } else { y.n_blocks() }).map(move |j| (i, j)))
        .collect();
    let blocks: Vec<Vec<f64>> = pairs
        .par_iter()
        .with_max_len(1)
        .map(|&(i, j)| {
            let (rows, columns) = (x.block(i), y.block(j));
            let kernels = x.kernel_block(rows.clone(), (y, columns.clone()), Kernel::Cubic);
            let chosen = of_y.subrows(columns.start, columns.len());
            let mut moved = Mat::<f64>::zeros(rows.len(), of_y.ncols());
            matmul(moved.as_mut(), Accum::Replace, kernels.as_ref(), chosen, 1.0, Par::Seq);
            let weight = if within && i != j { 2.0 } else { 1.0 };
            let chosen = of_x.subrows(rows.start, rows.len());
            let totals = moved.col_iter().zip(chosen.col_iter());
            totals
                .map(|(a, b)| weight * a.iter().zip(b.iter()).map(|(a, b)| a * b).sum::<f64>())
                .collect()
        })
        .collect();
    let mut totals = vec![0.0; of_x.ncols()];
    for block in blocks {
        totals.iter_mut().zip(block).for_each(|(total, term)| *total += term);
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn weyl(n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_fn((n, d), |(i, j)| ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract())
    }

    #[test]
    fn kernels_computed_once_give_what_each_subset_gives() {
        // More rows than a block, and no multiple of one; subsets that lie in several blocks.
        let (fake, real) = (weyl(1100, 5) + 0.1, weyl(700, 5));
        let (fake, real) = (Features::from(&fake), Features::from(&real));
        let mut stream = RandomState::new(1);
        let draws: Vec<Draw> = (0..4)
            .map(|_| Draw { fake: stream.choice(1100, 600), real: stream.choice(700, 600) })
            .collect();
        let shared = of_shared_kernels(fake, real, &draws).unwrap();
        let each = of_each_subset(fake, real, &draws).unwrap();
        for (a, b) in shared.iter().zip(each) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn few_subsets_of_many_rows_are_taken_one_by_one() {
        let options = KidOptions::default();
        assert!(shares_pay(1500, 1300, &options) && shares_pay(10_000, 9_000, &options));
        assert!(!shares_pay(50_000, 50_000, &options));
    }
}
