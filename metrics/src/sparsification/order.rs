//! Sorting many values with their indices.

use crate::error::{MetricError, Result};
use rayon::prelude::*;

/// Below this many values a sort by comparison is as fast as one by digits.
const BY_DIGITS: usize = 1 << 12;

/// A value and its pixel in one integer that orders by value, then by pixel: a sort moves no memory twice, and what was
/// sorted is read off the integer afterwards.
pub(super) trait Packed: Copy + Ord + Send + Sync {
    /// The index.
    fn pixel(self) -> usize;

    /// Whether both values are equal; `-0` was made `0`.
    fn ties_with(self, other: Self) -> bool;

    /// The value.
    fn value(self) -> f64;
}

/// f32 and an index below 2^32.
impl Packed for u64 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits")]
    fn pixel(self) -> usize {
        self as u32 as usize
    }

    #[inline]
    fn ties_with(self, other: Self) -> bool {
        self >> 32 == other >> 32
    }

    #[inline]
    fn value(self) -> f64 {
        let key = (self >> 32) as u32;
        f64::from(f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key }))
    }
}

/// f64 and an index below 2^32.
impl Packed for u128 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits")]
    fn pixel(self) -> usize {
        self as u32 as usize
    }

    #[inline]
    fn ties_with(self, other: Self) -> bool {
        self >> 32 == other >> 32
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the upper 64 bits")]
    fn value(self) -> f64 {
        let key = (self >> 32) as u64;
        f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
    }
}

/// `values` from the smallest to the largest, equal ones by index. NaN is no value: it is left out.
pub(super) fn ascending_f32(values: impl Iterator<Item = f32>) -> Vec<u64> {
    // Adding zero makes -0 equal to 0.
    let packed = values.zip(0_u64..).filter(|(v, _)| !v.is_nan());
    let packed = packed.map(|(v, i)| u64::from(ordered_f32(v + 0.0)) << 32 | i);
    let mut packed: Vec<u64> = packed.collect();
    if packed.len() < BY_DIGITS {
        packed.sort_unstable();
        return packed;
    }
    sorted_by_digits(packed)
}

/// As [`ascending_f32`], with twice the digits: by comparison, in parallel.
pub(super) fn ascending_f64(values: impl Iterator<Item = f64>) -> Vec<u128> {
    let packed = values.zip(0_u128..).filter(|(v, _)| !v.is_nan());
    let packed = packed.map(|(v, i)| u128::from(ordered_f64(v + 0.0)) << 32 | i);
    let mut packed: Vec<u128> = packed.collect();
    if packed.len() < BY_DIGITS {
        packed.sort_unstable();
    } else {
        packed.par_sort_unstable();
    }
    packed
}

/// Refuses more pixels than an index can tell apart.
pub(super) fn check_count(n: usize) -> Result<()> {
    if u32::try_from(n).is_ok() {
        return Ok(());
    }
    Err(MetricError::out_of_range(
        "the number of pixels of one ranking",
        n,
        format!("at most {}: rank per image", u32::MAX),
    ))
}

/// Shifts and bits of the digits of the upper word, least significant first.
const DIGITS: [(u32, u32); 3] = [(32, 11), (43, 11), (54, 10)];

/// Sorts by the upper word, digit by digit; the order of equal ones stays, so the lower word must ascend already.
fn sorted_by_digits(mut packed: Vec<u64>) -> Vec<u64> {
    let mut counts = [const { Vec::new() }; DIGITS.len()];
    counts.iter_mut().zip(DIGITS).for_each(|(c, (_, bits))| *c = vec![0_usize; 1 << bits]);
    for &value in &packed {
        for (counts, place) in counts.iter_mut().zip(DIGITS) {
            counts[digit(value, place)] += 1;
        }
    }
    let mut other = vec![0; packed.len()];
    for (mut next, place) in counts.into_iter().zip(DIGITS) {
        if next.contains(&packed.len()) {
            continue; // One digit for all: nothing moves.
        }
        let mut start = 0;
        for slot in &mut next {
            start += std::mem::replace(slot, start);
        }
        for &value in &packed {
            let slot = &mut next[digit(value, place)];
            other[*slot] = value;
            *slot += 1;
        }
        std::mem::swap(&mut packed, &mut other);
    }
    packed
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 11 bits")]
fn digit(value: u64, (shift, bits): (u32, u32)) -> usize {
    (value >> shift & ((1 << bits) - 1)) as usize
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

    fn pixels<P: Packed>(packed: &[P]) -> Vec<usize> {
        packed.iter().map(|p| p.pixel()).collect()
    }

    #[test]
    fn order_is_numeric_with_ties_by_index() {
        let values = [2.0_f32, -0.0, 0.0, -7.5, 1e-40];
        let single = ascending_f32(values.into_iter());
        assert_eq!(pixels(&single), [3, 1, 2, 4, 0]);
        assert!(single[1].ties_with(single[2]) && !single[2].ties_with(single[3]));
        let double = ascending_f64(values.into_iter().map(f64::from));
        assert_eq!(pixels(&double), [3, 1, 2, 4, 0]);
        for (a, b) in single.iter().zip(&double) {
            assert_eq!(a.value(), f64::from(values[a.pixel()]));
            assert_eq!(b.value(), a.value());
        }
    }

    #[test]
    fn digits_sort_as_comparisons_do() {
        for modulus in [7_u32, 5000, 1 << 24] {
            let values: Vec<f32> = (0..12_288_u32)
                .map(|i| {
                    ((i.wrapping_mul(2_654_435_761) >> 7) % modulus) as f32 - 0.3 * modulus as f32
                })
                .collect();
            let sorted = ascending_f32(values.iter().copied());
            let mut compared = sorted.clone();
            compared.sort_unstable();
            assert_eq!(sorted, compared, "modulus {modulus}");
            let mut pixels = pixels(&sorted);
            pixels.sort_unstable();
            assert!(pixels.into_iter().eq(0..values.len()), "each pixel once");
        }
    }
}
