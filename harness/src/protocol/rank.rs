//! Rank correlation between scores.

/// Spearman's rank correlation of two scores of the same images; ties get the mean of their ranks. `None`
/// where one of them is constant or they differ in length: there is no order to compare.
///
/// # Examples
/// ```
/// use dubench::protocol::rank::spearman;
/// assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 8.0, 27.0, 64.0]), Some(1.0));
/// assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
/// // By hand: ranks 1, 2, 3 against 1.5, 1.5, 3: 1.5 / sqrt(2 * 1.5).
/// let tied = spearman(&[1.0, 2.0, 3.0], &[5.0, 5.0, 9.0]).unwrap();
/// assert!((tied - 1.5 / 3.0_f64.sqrt()).abs() < 1e-15);
/// assert_eq!(spearman(&[1.0, 2.0], &[7.0, 7.0]), None);
/// ```
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| (product(&a, &b) / scale).clamp(-1.0, 1.0))
}

/// Ranks from 1, ties sharing the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tie in order.chunk_by(|i, j| values[*i].total_cmp(&values[*j]).is_eq()) {
        let mean = start as f64 + (tie.len() as f64 + 1.0) / 2.0;
        tie.iter().for_each(|index| ranks[*index] = mean);
        start += tie.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn monotone_maps_and_order_of_arguments_do_not_matter(
            pairs in prop::collection::vec((-1.0e3_f64..1.0e3, -1.0e3_f64..1.0e3), 3..60)
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let warped: Vec<f64> = a.iter().map(|v| v.powi(3) + 5.0).collect();
            prop_assume!(ranks(&warped) == ranks(&a));
            let rho = spearman(&a, &b);
            prop_assert_eq!(spearman(&b, &a), rho);
            prop_assert_eq!(spearman(&warped, &b), rho);
            let falling: Vec<f64> = a.iter().map(|v| -v).collect();
            if let (Some(rho), Some(negative)) = (rho, spearman(&falling, &b)) {
                prop_assert!((rho + negative).abs() < 1e-12);
            }
        }
    }
}
