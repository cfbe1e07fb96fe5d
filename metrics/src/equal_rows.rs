//! Images that are there more than once.

use crate::features::Features;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// A number for each row of each set, the same for equal rows and for no others; numbered as they appear.
///
/// Why? A standard error takes each image as independent. A generator that gives one image a thousand times, or a set
/// that is compared with a part of itself, breaks that without a trace in the number. Rows are equal where all
/// values are, whatever their precision; `-0` equals `0`. Rows with NaN equal nothing.
///
/// # Examples
/// ```
/// use dubench_metrics::{Features, equal_rows};
/// use ndarray::array;
/// let (real, fake) = (array![[1.0, 2.0], [3.0, 4.0]], array![[3.0_f32, 4.0], [5.0, 6.0], [5.0, 6.0]]);
/// let groups = equal_rows(&[Features::from(&real), Features::from(&fake)]);
/// assert_eq!(groups, [vec![0, 1], vec![1, 2, 2]]);
/// ```
pub fn equal_rows(sets: &[Features<'_>]) -> Vec<Vec<usize>> {
    let mut seen: HashMap<u64, Vec<(usize, usize, usize)>> = HashMap::new();
    let mut n_groups = 0;
    let mut groups = Vec::with_capacity(sets.len());
    for (set, rows) in sets.iter().enumerate() {
        let hashes: Vec<u64> =
            (0..rows.n()).into_par_iter().map(|row| hash(&values(rows, row))).collect();
        let mut of_rows = Vec::with_capacity(rows.n());
        for (row, hash) in hashes.into_iter().enumerate() {
            let candidates = seen.entry(hash).or_default();
            // Compared value by value: a hash alone would be a guess.
            let equal = candidates
                .iter()
                .find(|&&(set, other, _)| values(&sets[set], other) == values(rows, row));
            let group = equal.map_or(n_groups, |&(_, _, group)| group);
            if equal.is_none() {
                candidates.push((set, row, group));
                n_groups += 1;
            }
            of_rows.push(group);
        }
        groups.push(of_rows);
    }
    groups
}

fn values(rows: &Features<'_>, row: usize) -> Vec<f64> {
    match rows {
        Features::F32(rows) => rows.row(row).iter().map(|&v| f64::from(v) + 0.0).collect(),
        Features::F64(rows) => rows.row(row).iter().map(|&v| v + 0.0).collect(),
    }
}

fn hash(values: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|v| hasher.write_u64(v.to_bits()));
    hasher.finish()
}
