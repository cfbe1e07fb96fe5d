//! The error bar of a distance for infinitely many images.

use super::pool::Pool;
use crate::error::{MetricError, Result, same_length};
use crate::features::Features;
use crate::frechet::{EstimateOptions, Reference};
use crate::rng::{Subsets, complement};

/// Fewest rows that have a covariance.
const LEAST: usize = 2;

/// The distance of `features` `[n, d]` for infinitely many images, `2 F(n) - mean F(n/2)`, without each group of rows in
/// turn, groups ascending: what [`jackknife_se`] makes an error bar of.
///
/// `groups` says the group of each row. The halves are those of [`Reference::estimate`], less the group, so the differences
/// between two sets whose rows correspond are paired in everything. `None` where a half is left with a single row, or where
/// all rows are one group: there are too few images then.
///
/// Why not the influence of each image? It is right for F. The distance for infinitely many images is a difference of two F,
/// and what is left of it besides the influence is not small with fewer images than features: simulated for Gaussian pairs
/// with d = 64, the standard error by influence was 1.2, 0.95 and 0.6 times the truth at n = d / 4, d / 2 and d; that of ten
/// groups left out 1.3, 1.4 and 1.5 times.
///
/// # Errors
/// [`MetricError::LengthMismatch`] unless there is one group a row and the features are those of the reference,
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for zero splits.
///
/// # Examples
/// ```
/// use dubench_metrics::{EstimateOptions, Gaussian, Reference, jackknife_se, leave_out_inf};
/// use ndarray::{Array2, array};
/// let reference = Reference::new(Gaussian::new(array![0.0], array![[1.0]], None)?)?;
/// let a = Array2::from_shape_fn((100, 1), |(i, _)| (i as f64 * 0.618_034).fract() * 3.0);
/// let b = &a - 0.5;
/// let groups: Vec<usize> = (0..100).map(|i| i % 10).collect();
/// let of = |rows| leave_out_inf(&reference, rows, &groups, &EstimateOptions::default());
/// let (a, b) = (of((&a).into())?.unwrap(), of((&b).into())?.unwrap());
/// let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
/// assert!(jackknife_se(&differences).unwrap() < jackknife_se(&a).unwrap()); // pairs have much in common
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn leave_out_inf<'a>(
    reference: &'a Reference,
    features: Features<'a>,
    groups: &[usize],
    options: &EstimateOptions,
) -> Result<Option<Vec<f64>>> {
    let n = features.n();
    same_length("the groups of a sample", groups.len(), n)?;
    same_length("the features of the sample", features.dim(), reference.dim())?;
    if options.splits == 0 {
        return Err(MetricError::out_of_range("the number of splits", 0, "at least 1"));
    }
    let mut known: Vec<usize> = groups.to_vec();
    known.sort_unstable();
    known.dedup();
    let subsets = Subsets::new(options.seed);
    let mut sets: Vec<Vec<usize>> = vec![(0..n).collect()];
    for split in 0..options.splits {
        let first = subsets.draw(split, n, n / 2);
        let second = complement(&first, n);
        sets.extend([first, second]);
    }
    let without = |group: usize| {
        let rest = move |set: &Vec<usize>| -> Vec<usize> {
            set.iter().copied().filter(|&row| groups[row] != group).collect()
        };
        sets.iter().map(rest).collect::<Vec<_>>()
    };
    let left: Vec<Vec<usize>> = known.iter().flat_map(|&group| without(group)).collect();
    if known.len() < 2 || left.iter().any(|rows| rows.len() < LEAST) {
        return Ok(None);
    }
    let distances = Pool::new(reference, features)?.distances(&left)?;
    let halves = 2.0 * options.splits as f64;
    let inf = |found: &[f64]| 2.0 * found[0] - found[1..].iter().sum::<f64>() / halves;
    Ok(Some(distances.chunks_exact(sets.len()).map(inf).collect()))
}

/// The standard error of a number by its values without each of g groups of equal size:
/// `sqrt((g - 1) / g sum (v - mean)^2)`, the jackknife (Tukey 1958); `None` for a single value. It errs upwards (Efron and
/// Stein 1981).
///
/// # Examples
/// ```
/// use dubench_metrics::jackknife_se;
/// // Of a mean, each value left out: its standard error, sd / sqrt(n).
/// let values = [1.0, 2.0, 4.0, 9.0];
/// let without: Vec<f64> = values.iter().map(|v| (16.0 - v) / 3.0).collect();
/// assert!((jackknife_se(&without).unwrap() - (38.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
/// assert_eq!(jackknife_se(&[1.0]), None);
/// ```
pub fn jackknife_se(without: &[f64]) -> Option<f64> {
    if without.len() < 2 {
        return None;
    }
    let g = without.len() as f64;
    let mean = without.iter().sum::<f64>() / g;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    Some(((g - 1.0) / g * squares).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::Gaussian;
    use ndarray::{Array1, Array2};

    #[test]
    fn a_group_left_out_is_a_smaller_set_with_smaller_halves() {
        let (n, d) = (24, 5);
        let gaussian = Gaussian::new(Array1::zeros(d), Array2::eye(d), None).unwrap();
        let reference = Reference::new(gaussian).unwrap();
        let rows = Array2::from_shape_fn((n, d), |(i, j)| {
            ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract()
        });
        let groups: Vec<usize> = (0..n).map(|i| i % 4).collect();
        let options = EstimateOptions { seed: 3, splits: 2 };
        let found = leave_out_inf(&reference, (&rows).into(), &groups, &options).unwrap().unwrap();
        assert_eq!(found.len(), 4);
        let distance = |set: &[usize]| {
            let left: Vec<usize> = set.iter().copied().filter(|i| i % 4 != 2).collect();
            let rows = rows.select(ndarray::Axis(0), &left);
            reference.distance_to_features(&rows).unwrap()
        };
        let mut halves = 0.0;
        for split in 0..2 {
            let first = Subsets::new(3).draw(split, n, n / 2);
            halves += distance(&first) + distance(&complement(&first, n));
        }
        let expected = 2.0 * distance(&(0..n).collect::<Vec<_>>()) - halves / 4.0;
        // Halves of as many rows as features go by the dense route on one side and by the thin one on the other, which agree
        // to the root of a rounding error (see `Reference::distance_to_features`).
        assert!((found[2] - expected).abs() < 1e-7, "{} {expected}", found[2]);
    }

    #[test]
    fn too_few_images_have_no_error_bar() {
        let gaussian = Gaussian::new(Array1::zeros(1), Array2::eye(1), None).unwrap();
        let reference = Reference::new(gaussian).unwrap();
        let rows = Array2::from_shape_fn((4, 1), |(i, _)| i as f64);
        let of = |groups: &[usize]| {
            leave_out_inf(&reference, (&rows).into(), groups, &EstimateOptions::default())
        };
        assert_eq!(of(&[0, 1, 2, 3]).unwrap(), None);
        assert_eq!(of(&[7; 4]).unwrap(), None);
        assert!(of(&[0, 1]).is_err());
    }
}
