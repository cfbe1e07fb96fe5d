//! Which of many distances need a look: almost none lies inside a ball or among the nearest.

use crate::simd::{Kernel, vectorised};

/// Distances that are looked at together.
const CHUNK: usize = 16;

/// The indices of `distances`, by chunks, in which one is below `bounds[i] + shift` or below `bound`.
pub(super) fn candidates(
    distances: &[f32],
    (bounds, shift): (&[f32], f32),
    bound: f32,
    found: &mut Vec<usize>,
) {
    found.clear();
    vectorised(Scan { distances, bounds: &bounds[..distances.len()], shift, bound, found });
}

struct Scan<'a> {
    distances: &'a [f32],
    bounds: &'a [f32],
    shift: f32,
    bound: f32,
    found: &'a mut Vec<usize>,
}

impl Kernel for Scan<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let chunks = self.distances.chunks(CHUNK).zip(self.bounds.chunks(CHUNK));
        for (chunk, (distances, bounds)) in chunks.enumerate() {
            let mut any = false;
            for (&distance, &bound) in distances.iter().zip(bounds) {
                any |= distance < (bound + self.shift).max(self.bound);
            }
            if any {
                let start = chunk * CHUNK;
                self.found.extend(start..start + distances.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_below_a_bound_is_among_the_candidates() {
        let distances: Vec<f32> = (0..67_u8).map(|i| f32::from(i.wrapping_mul(37) % 101)).collect();
        let bounds: Vec<f32> = (0..80_u8).map(|i| f32::from(i.wrapping_mul(11) % 13)).collect();
        let mut found = Vec::new();
        candidates(&distances, (&bounds, 2.0), 3.5, &mut found);
        for (i, (&distance, &bound)) in distances.iter().zip(&bounds).enumerate() {
            let near = distance < bound + 2.0 || distance < 3.5;
            assert!(!near || found.contains(&i), "{i}");
        }
        candidates(&distances, (&[-5.0; 67], 0.0), 0.0, &mut found);
        assert!(found.is_empty());
    }
}
