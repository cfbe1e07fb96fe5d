//! Kernel inception distance.

use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::mmd::{Kernel, MmdEstimator, Sample};
use crate::mt19937::RandomState;
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
    let mut stream = RandomState::new(options.seed);
    let draws: Vec<(Vec<usize>, Vec<usize>)> = (0..options.subsets)
        .map(|_| {
            let from_fake = stream.choice(fake.n(), options.subset_size);
            (from_fake, stream.choice(real.n(), options.subset_size))
        })
        .collect();
    let values: Result<Vec<f64>> = draws
        .par_iter()
        .with_max_len(1)
        .map(|(from_fake, from_real)| {
            let x = Sample::of_rows(fake, from_fake.iter().copied(), "the fake set")?;
            let y = Sample::of_rows(real, from_real.iter().copied(), "the real set")?;
            Ok(x.compare(&y, Kernel::Cubic, MmdEstimator::Unbiased)?.value)
        })
        .collect();
    let values = values?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Ok(Kid { kid: mean, sd: (squares / count).sqrt(), values })
}
