//! Inception Score.

use crate::error::{MetricError, Result, at_least};
use crate::features::Features;
use crate::mt19937::RandomState;

/// How the images are cut into splits.
///
/// # Examples
/// ```
/// use dubench_metrics::{Splits, inception_score};
/// use ndarray::Array2;
/// let logits = Array2::from_shape_fn((60, 4), |(i, j)| if i % 4 == j { 3.0 } else { 0.0 });
/// let of = |splits| inception_score(&logits, splits);
/// assert_eq!(of(Splits::Shuffled { splits: 10, seed: 2020 })?.values.len(), 10); // torch-fidelity
/// assert_eq!(of(Splits::Blocks { size: 25 })?.values.len(), 3); // 25, 25 and 10
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Splits {
    /// Shuffled by `numpy.random.RandomState(seed)`, then `splits` parts at `i n / splits`: torch-fidelity
    /// (10 splits, seed 2020).
    Shuffled {
        /// Number of parts.
        splits: usize,
        /// Seed of the shuffle.
        seed: u32,
    },
    /// Consecutive blocks of `size` images, the last one shorter: guided-diffusion (5000).
    Blocks {
        /// Images of a block.
        size: usize,
    },
}

/// An Inception Score.
#[derive(Debug, Clone, PartialEq)]
pub struct InceptionScore {
    /// Mean over the splits.
    pub mean: f64,
    /// Population standard deviation over the splits, as torch-fidelity reports it.
    pub sd: f64,
    /// Standard error of the mean: the sample standard deviation over `sqrt(splits)`; `None` for one split.
    pub se: Option<f64>,
    /// The score of each split.
    pub values: Vec<f64>,
}

/// `exp(mean KL(p(y|x) || p(y)))` of logits `[n, classes]` (Salimans et al. 2016, arXiv:1606.03498), per split.
///
/// The logits are those without bias in the original graph and in torch-fidelity.
///
/// # Errors
/// [`MetricError::TooFewSamples`] with fewer images than splits, [`MetricError::NonFinite`],
/// [`MetricError::OutOfRange`] for no splits, empty blocks or no classes.
///
/// # Examples
/// ```
/// use dubench_metrics::{Splits, inception_score};
/// use ndarray::array;
/// // Two classes, certain and balanced: the score is the number of classes.
/// let logits = array![[50.0, -50.0], [-50.0, 50.0]];
/// let score = inception_score(&logits, Splits::Blocks { size: 2 })?;
/// assert!((score.mean - 2.0).abs() < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn inception_score<'a>(
    logits: impl Into<Features<'a>>,
    splits: Splits,
) -> Result<InceptionScore> {
    let logits = logits.into();
    let n = logits.n();
    if logits.dim() == 0 {
        return Err(MetricError::out_of_range("the number of classes", 0, "at least 1"));
    }
    let parts: Vec<Vec<usize>> = match splits {
        Splits::Shuffled { splits: 0, .. } | Splits::Blocks { size: 0 } => {
            return Err(MetricError::out_of_range("the splits", 0, "at least 1"));
        }
        Splits::Shuffled { splits, seed } => {
            at_least("the logits", n, splits)?;
            let order = RandomState::new(seed).permutation(n);
            (0..splits).map(|i| order[i * n / splits..(i + 1) * n / splits].to_vec()).collect()
        }
        Splits::Blocks { size } => {
            at_least("the logits", n, 1)?;
            (0..n).step_by(size).map(|s| (s..n.min(s + size)).collect()).collect()
        }
    };
    let values: Result<Vec<f64>> = parts.iter().map(|rows| split_score(logits, rows)).collect();
    let values = values?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Ok(InceptionScore {
        mean,
        sd: (squares / count).sqrt(),
        se: (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt()),
        values,
    })
}

fn split_score(logits: Features<'_>, rows: &[usize]) -> Result<f64> {
    let mut marginal = vec![0.0; logits.dim()];
    let mut negative_entropy = 0.0;
    for &i in rows {
        let log_p = log_softmax(logits.gather(std::iter::once(i), "the logits")?);
        for (total, log_p) in marginal.iter_mut().zip(log_p) {
            let p = libm::exp(log_p);
            *total += p / rows.len() as f64;
            negative_entropy += p * log_p;
        }
    }
    let cross: f64 = marginal.iter().filter(|q| **q > 0.0).map(|q| q * libm::log(*q)).sum();
    Ok(libm::exp(negative_entropy / rows.len() as f64 - cross))
}

fn log_softmax(mut logits: Vec<f64>) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|v| libm::exp(v - largest)).sum();
    let shift = largest + libm::log(sum);
    logits.iter_mut().for_each(|v| *v -= shift);
    logits
}
