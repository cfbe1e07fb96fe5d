//! Is the difference of two Fréchet distances real?

use super::estimate::FrechetEstimate;
use crate::error::{MetricError, Result, same_length};
use crate::normal::two_sided_p;
use std::collections::BTreeMap;

/// How the two samples are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Row i of both comes from the same start (same noise, same label).
    Paired,
    /// Some images are in both.
    Overlapping {
        /// How many.
        n_shared: usize,
    },
    /// Independent samples.
    Unpaired,
}

/// Which distance was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// `fid`: both samples have the same size.
    Fid,
    /// `fid_inf`: the sizes differ, and so would the biases.
    FidInf,
}

/// A difference of two Fréchet distances to one reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Distance of the first sample.
    pub fid_a: f64,
    /// Distance of the second sample.
    pub fid_b: f64,
    /// First minus second, on the scale that `basis` names.
    pub delta: f64,
    /// Standard error of `delta`.
    pub se: f64,
    /// `delta / se`; 0 where both are zero.
    pub z: f64,
    /// Two-sided p-value of `delta = 0` by the normal law.
    pub p: f64,
    /// The difference that 80 % of repetitions would find significant at 5 %: `2.80 se`.
    pub min_detectable: f64,
    /// How the samples are related.
    pub pairing: Pairing,
    /// What `delta` is a difference of.
    pub basis: Basis,
}

/// Compares two samples whose rows correspond: `se = sd(phi_a - phi_b) / sqrt(n)`.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the sizes differ, [`MetricError::OutOfRange`] for estimates that were made
/// from statistics: those have no influence values.
///
/// # Examples
/// ```
/// use dubench_metrics::{EstimateOptions, Gaussian, Reference, compare_paired};
/// use ndarray::{array, Array2};
/// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
/// let a = Array2::from_shape_fn((400, 1), |(i, _)| (i as f64 * 0.618_034).fract() * 3.0);
/// let b = &a - 0.5; // the same images, a little nearer to the reference
/// let options = EstimateOptions::default();
/// let comparison =
///     compare_paired(&reference.estimate(&a, &options)?, &reference.estimate(&b, &options)?)?;
/// assert!(comparison.delta > 0.0 && comparison.p < 1e-6);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn compare_paired(a: &FrechetEstimate, b: &FrechetEstimate) -> Result<Comparison> {
    has_influence(a)?;
    has_influence(b)?;
    same_length("the second of two paired samples", b.n, a.n)?;
    let n = a.n as f64;
    let squares: f64 = a.influence.iter().zip(&b.influence).map(|(x, y)| (x - y) * (x - y)).sum();
    Ok(conclude(a, b, (squares / (n - 1.0) / n).sqrt(), Pairing::Paired))
}

/// Compares two independent samples: `se^2 = se_a^2 + se_b^2`.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the numbers of features differ.
///
/// # Examples
/// ```
/// use dubench_metrics::{Gaussian, Reference, compare_unpaired};
/// use ndarray::array;
/// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
/// let model = |mean: f64| Gaussian::new(array![mean], array![[1.0]], Some(10_000));
/// let a = reference.estimate_from_statistics(&model(1.00)?)?; // fid 1, se 2 / 100
/// let b = reference.estimate_from_statistics(&model(0.99)?)?;
/// let difference = compare_unpaired(&a, &b)?;
/// assert!(difference.delta > 0.0 && difference.p > 0.05); // 0.02, with a standard error of 0.028
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn compare_unpaired(a: &FrechetEstimate, b: &FrechetEstimate) -> Result<Comparison> {
    same_length("the features of the second sample", b.dim, a.dim)?;
    let se = (a.se * a.se + b.se * b.se).sqrt();
    Ok(conclude(a, b, se, Pairing::Unpaired))
}

/// Compares two subsets of one pool, each image named by its id.
///
/// An image in both contributes `phi_a / n_a - phi_b / n_b`, an image in one of them its own term alone; the
/// variance is the sum of their squares. With the same ids this is [`compare_paired`], with none in common
/// [`compare_unpaired`].
///
/// Of k images that a threshold keeps of a pool of n, beside that pool, a kept image contributes `phi_k / k - phi_n / n` and
/// another one `-phi_n / n`: `se` is the spread over *new pools*, the threshold held fixed. What a score achieves in one
/// pool beside random subsets of it is another question ([`FilterStudy`](crate::FilterStudy)).
///
/// # Errors
/// [`MetricError::LengthMismatch`] if ids and images differ in number, [`MetricError::OutOfRange`] for an id
/// that is given twice or estimates without influence values.
///
/// # Examples
/// ```
/// use dubench_metrics::{EstimateOptions, Gaussian, Pairing, Reference, compare_overlapping};
/// use ndarray::{Array2, array, s};
/// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
/// let pool = Array2::from_shape_fn((500, 1), |(i, _)| (i as f64 * 0.618_034).fract() * 3.0);
/// let options = EstimateOptions::default();
/// let a = reference.estimate(pool.slice(s![..400, ..]), &options)?;
/// let b = reference.estimate(pool.slice(s![100.., ..]), &options)?;
/// let (ids_a, ids_b): (Vec<u64>, Vec<u64>) = ((0..400).collect(), (100..500).collect());
/// let difference = compare_overlapping(&a, &ids_a, &b, &ids_b)?;
/// assert_eq!(difference.pairing, Pairing::Overlapping { n_shared: 300 });
/// assert!(difference.se < (a.se * a.se + b.se * b.se).sqrt()); // what is shared cancels
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn compare_overlapping(
    a: &FrechetEstimate,
    ids_a: &[u64],
    b: &FrechetEstimate,
    ids_b: &[u64],
) -> Result<Comparison> {
    let terms_a = terms_by_id(a, ids_a)?;
    let mut terms_b = terms_by_id(b, ids_b)?;
    let mut n_shared = 0;
    let mut squares = 0.0;
    for (id, x) in terms_a {
        let y = terms_b.remove(&id);
        n_shared += usize::from(y.is_some());
        squares += (x - y.unwrap_or(0.0)).powi(2);
    }
    squares += terms_b.into_values().map(|y| y * y).sum::<f64>();
    Ok(conclude(a, b, squares.sqrt(), Pairing::Overlapping { n_shared }))
}

fn has_influence(estimate: &FrechetEstimate) -> Result<()> {
    if estimate.influence.len() == estimate.n {
        return Ok(());
    }
    Err(MetricError::out_of_range(
        "an estimate in a paired comparison",
        "made from statistics",
        "one made from features",
    ))
}

fn terms_by_id(estimate: &FrechetEstimate, ids: &[u64]) -> Result<BTreeMap<u64, f64>> {
    has_influence(estimate)?;
    same_length("the ids of a sample", ids.len(), estimate.n)?;
    let n = estimate.n as f64;
    let scale = (n / (n - 1.0)).sqrt() / n;
    let mut terms = BTreeMap::new();
    for (&id, phi) in ids.iter().zip(&estimate.influence) {
        if terms.insert(id, phi * scale).is_some() {
            return Err(MetricError::out_of_range("an image id", id, "each id once"));
        }
    }
    Ok(terms)
}

fn conclude(a: &FrechetEstimate, b: &FrechetEstimate, se: f64, pairing: Pairing) -> Comparison {
    let (delta, basis) = if a.n == b.n {
        (a.fid - b.fid, Basis::Fid)
    } else {
        (a.fid_inf - b.fid_inf, Basis::FidInf)
    };
    let z = if delta == 0.0 { 0.0 } else { delta / se };
    Comparison {
        fid_a: a.fid,
        fid_b: b.fid,
        delta,
        se,
        z,
        p: two_sided_p(z),
        min_detectable: (two_sided_quantile_95() + POWER_80) * se,
        pairing,
        basis,
    }
}

/// Standard normal quantile of 0.8.
const POWER_80: f64 = 0.841_621_233_572_914_2;

fn two_sided_quantile_95() -> f64 {
    crate::normal::two_sided_quantile(0.95)
}
