//! Distances of one block to another, and which of them need a look: almost none lies inside a ball or among the nearest.

use super::blocks::TALL;
use crate::gemm::{Panels, SHORT, Tile, multiply};
use crate::simd::{Kernel, vectorised};

/// The squared distances between two blocks, the longer side in lanes.
#[derive(Default)]
pub(super) struct Distances {
    tiles: Vec<Tile<f32, TALL>>,
    /// Squared norms of the tall side, by panels.
    norms: Vec<[f32; TALL]>,
    /// Squared norms of the short side.
    short_norms: Vec<f32>,
    rows: usize,
}

/// Up to which distance a point of the tall side is near, by panels; lanes without a point are below all distances.
pub(super) type Bounds = Vec<[f32; TALL]>;

/// Spreads one number a row over panels, with `rest` where there is no row.
pub(super) fn panels_of(values: &[f32], rest: f32) -> Vec<[f32; TALL]> {
    let panel = |chunk: &[f32]| {
        let mut panel = [rest; TALL];
        panel[..chunk.len()].copy_from_slice(chunk);
        panel
    };
    values.chunks(TALL).map(panel).collect()
}

impl Distances {
    /// Computes the distances of two packed blocks of depth `depth`, each with its squared norms.
    pub(super) fn compute(
        &mut self,
        (a, a_norms): (&Panels<f32, TALL>, &[f32]),
        (b, b_norms): (&Panels<f32, SHORT>, &[f32]),
        depth: usize,
    ) {
        self.tiles.resize(a.len() * b.len(), [[0.0; TALL]; SHORT]);
        multiply((a, 0..a.len()), (b, 0..b.len()), depth, |_, _| true, &mut self.tiles);
        self.norms = panels_of(a_norms, 0.0);
        self.short_norms = b_norms.to_vec();
        self.rows = a_norms.len();
    }

    /// Fills `found` with the rows of the tall side, by panels, of which one is nearer to column `j` than its bound plus
    /// `shift`, or than `bound`; and with their squared distances.
    pub(super) fn near(
        &self,
        j: usize,
        (bounds, shift): (&Bounds, f32),
        bound: f32,
        found: &mut Vec<(usize, f32)>,
    ) {
        found.clear();
        vectorised(Scan { distances: self, j, bounds, shift, bound, found });
    }
}

struct Scan<'a> {
    distances: &'a Distances,
    j: usize,
    bounds: &'a [[f32; TALL]],
    shift: f32,
    bound: f32,
    found: &'a mut Vec<(usize, f32)>,
}

impl Kernel for Scan<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let Distances { tiles, norms, short_norms, rows } = self.distances;
        let (norm, lane) = (short_norms[self.j], self.j % SHORT);
        let tiles = &tiles[self.j / SHORT * norms.len()..][..norms.len()];
        for (panel, ((tile, norms), bounds)) in tiles.iter().zip(norms).zip(self.bounds).enumerate()
        {
            let mut squared = [0.0_f32; TALL];
            let mut any = false;
            for i in 0..TALL {
                squared[i] = (norms[i] + norm) - 2.0 * tile[lane][i];
                any |= squared[i] < (bounds[i] + self.shift).max(self.bound);
            }
            if any {
                let first = panel * TALL;
                let found = squared.iter().take(rows - first).enumerate();
                self.found.extend(found.map(|(i, &distance)| (first + i, distance)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_below_a_bound_is_found_and_is_that_of_the_rows() {
        let row = |i: usize, k: usize| ((i * 37 + k * 11) % 23) as f32 - 9.0;
        let (n_a, n_b, depth) = (67, 10, 300);
        let rows = |n: usize, shift: usize| -> Vec<Vec<f32>> {
            (0..n).map(|i| (0..depth).map(|k| row(i + shift, k)).collect()).collect()
        };
        let (a, b) = (rows(n_a, 0), rows(n_b, 5));
        let squared =
            |x: &[f32], y: &[f32]| -> f32 { x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum() };
        let norms = |rows: &[Vec<f32>]| -> Vec<f32> {
            rows.iter().map(|r| squared(r, &vec![0.0; depth])).collect()
        };
        let (mut tall, mut short) = (Panels::zeros(n_a, depth), Panels::zeros(n_b, depth));
        a.iter().enumerate().for_each(|(i, row)| tall.set(i, row));
        b.iter().enumerate().for_each(|(j, row)| short.set(j, row));
        let mut distances = Distances::default();
        distances.compute((&tall, &norms(&a)), (&short, &norms(&b)), depth);
        let mut found = Vec::new();
        let bounds: Vec<f32> = (0..n_a).map(|i| (i % 13) as f32 * 1000.0).collect();
        for (j, b) in b.iter().enumerate() {
            distances.near(j, (&panels_of(&bounds, f32::NEG_INFINITY), 2.5), 900.0, &mut found);
            for (i, a) in a.iter().enumerate() {
                // Small integers: every sum is exact.
                let distance = squared(a, b);
                let near = distance < (bounds[i] + 2.5).max(900.0);
                let here = found.iter().find(|(row, _)| *row == i);
                assert!(!near || here.is_some(), "{i} {j}");
                assert!(here.is_none_or(|(_, d)| *d == distance), "{i} {j}");
            }
            assert!(found.iter().all(|(i, _)| *i < n_a));
            distances.near(j, (&panels_of(&[-1.0; 67], -1.0), 0.0), 0.0, &mut found);
            assert!(found.is_empty());
        }
    }
}
