//! Sorting many values with their indices.

use crate::error::{MetricError, Result};
use crate::features::Features;
use rayon::prelude::*;

/// Below this many values a parallel sort costs more than it saves.
const PARALLEL: usize = 1 << 14;

/// Indices of `values`, row-major, from the smallest to the largest; equal values by index.
///
/// Value and index are packed in one integer whose order is theirs, so that the sort moves no memory twice.
pub(super) fn ascending(values: Features<'_>) -> Result<Vec<u32>> {
    let n = values.n() * values.dim();
    if u32::try_from(n).is_err() {
        return Err(MetricError::out_of_range(
            "the number of pixels of one ranking",
            n,
            format!("at most {}: rank per image", u32::MAX),
        ));
    }
    Ok(match values {
        Features::F32(rows) => {
            let mut packed: Vec<u64> = rows
                .iter()
                .zip(0_u64..)
                .map(|(&v, i)| u64::from(ordered_f32(v + 0.0)) << 32 | i)
                .collect();
            if n < PARALLEL {
                packed.sort_unstable();
            } else {
                packed.par_sort_unstable();
            }
            packed.into_iter().map(low_word).collect()
        }
        Features::F64(rows) => {
            let mut packed: Vec<u128> = rows
                .iter()
                .zip(0_u128..)
                .map(|(&v, i)| u128::from(ordered_f64(v + 0.0)) << 32 | i)
                .collect();
            if n < PARALLEL {
                packed.sort_unstable();
            } else {
                packed.par_sort_unstable();
            }
            packed.into_iter().map(low_word_u128).collect()
        }
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the index is the low word")]
fn low_word(packed: u64) -> u32 {
    packed as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the index is the low word")]
fn low_word_u128(packed: u128) -> u32 {
    packed as u32
}

/// Bits whose unsigned order is the order of the numbers.
fn ordered_f32(v: f32) -> u32 {
    let bits = v.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn ordered_f64(v: f64) -> u64 {
    let bits = v.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn order_is_numeric_with_ties_by_index() {
        let expected = [3, 1, 2, 4, 0];
        let single = array![[2.0_f32, -0.0, 0.0, -7.5, 1e-40]];
        assert_eq!(ascending(Features::from(&single)).unwrap(), expected);
        let double = single.mapv(f64::from);
        assert_eq!(ascending(Features::from(&double)).unwrap(), expected);
    }
}
