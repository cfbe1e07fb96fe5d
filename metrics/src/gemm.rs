//! Products of matrices that were packed into panels, tile by tile: the loops that most of the time is spent in.
//!
//! Every value is a sum in the order of the depth, [`DEPTH`] terms at a time, so it does not depend on tiles, threads or
//! neighbours.
//!
//! # Why own loops, beside `faer`?
//! They write tiles that the metrics go on with while they are in the cache, and leave the upper half of a symmetric
//! product out. Measured on one core with AVX2 (EPYC, 107 GFLOP/s of f32 and 53 of f64 where nothing but fused
//! multiplications and additions runs), best of five: 1024 x 1024 x 2048 in f32 95 GFLOP/s, `faer` 83, `matrixmultiply`
//! 85; 2048 x 2048 x 1024 in f64 48, `faer` 39, `matrixmultiply` 34.
//!
//! # What is out of reach
//! The covariance of 50,000 x 2048 is 210 GFLOP by halves, which `numpy.cov` also does by halves, in 3.2 s on two such
//! cores. Half as fast again would be 2.1 s or 99 GFLOP/s: 93 % of all that both cores can multiply in f64, with nothing left
//! for reading, packing and adding up.

use crate::simd::{Kernel, vectorised};
use std::ops::Range;

/// Depth that is multiplied at once: a panel of it stays in the innermost cache.
pub(crate) const DEPTH: usize = 256;

/// Panels of the tall factor that are multiplied by all of the other one before the next: they stay in the second cache.
const TALL: usize = 12;

/// Lanes of the short factor: with two registers of the tall one, twelve sums fill the registers of AVX2.
pub(crate) const SHORT: usize = 6;

/// `f32` or `f64`.
pub(crate) trait Float: Copy + Send + Sync + 'static {
    const ZERO: Self;

    /// `self * a + b`, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;

    /// `self * a + b`, rounded twice: for processors without the instruction.
    fn unfused(self, a: Self, b: Self) -> Self;

    fn plus(self, other: Self) -> Self;
}

macro_rules! float {
    ($type:ty) => {
        impl Float for $type {
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }

            #[inline(always)]
            fn unfused(self, a: Self, b: Self) -> Self {
                self * a + b
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    };
}
float!(f32);
float!(f64);

/// Vectors of one length, `W` of them side by side in a panel: entry `k` of a panel holds their values at depth `k`.
///
/// Panels of the same [`DEPTH`] lie one after the other, so that what is multiplied together is read in one stream.
#[derive(Debug, Clone)]
pub(crate) struct Panels<T, const W: usize> {
    values: Vec<[T; W]>,
    vectors: usize,
    depth: usize,
}

impl<T: Float, const W: usize> Panels<T, W> {
    /// `vectors` zero vectors of length `depth`.
    pub(crate) fn zeros(vectors: usize, depth: usize) -> Self {
        Self { values: vec![[T::ZERO; W]; vectors.div_ceil(W) * depth], vectors, depth }
    }

    /// Number of panels.
    pub(crate) fn len(&self) -> usize {
        self.vectors.div_ceil(W)
    }

    /// The part of a panel that starts at depth `start`, a multiple of [`DEPTH`].
    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    pub(crate) fn part(&self, panel: usize, start: usize) -> &[[T; W]] {
        let depth = DEPTH.min(self.depth - start);
        &self.values[start * self.len() + panel * depth..][..depth]
    }

    /// All panels, `DEPTH` entries at a time, with their depth and their panel: for filling in parallel.
    pub(crate) fn values_mut(&mut self) -> &mut [[T; W]] {
        &mut self.values
    }

    /// Sets vector `i`.
    pub(crate) fn set(&mut self, i: usize, vector: &[T]) {
        let (panels, panel, lane) = (self.len(), i / W, i % W);
        for (part, vector) in vector.chunks(DEPTH).enumerate() {
            let start = part * DEPTH * panels + panel * vector.len();
            for (entry, &value) in self.values[start..].iter_mut().zip(vector) {
                entry[lane] = value;
            }
        }
    }
}

/// A tile of a product: entry `[j][i]` belongs to vector i of a panel of the tall factor and j of the short one.
pub(crate) type Tile<T, const A: usize> = [[T; A]; SHORT];

/// Sets `tiles[j * a.len() + i]` to the products of panel `i` of `a` and panel `j` of `b`, over the first `depth` entries,
/// where `wanted(i, j)`; other tiles become zero.
pub(crate) fn multiply<T: Float, const A: usize>(
    (a, columns): (&Panels<T, A>, Range<usize>),
    (b, rows): (&Panels<T, SHORT>, Range<usize>),
    depth: usize,
    wanted: impl Fn(usize, usize) -> bool + Copy,
    tiles: &mut [Tile<T, A>],
) {
    tiles.fill([[T::ZERO; A]; SHORT]);
    if has_fused() {
        vectorised(Multiply::<T, A, true, _> { a, columns, b, rows, depth, wanted, tiles });
    } else {
        vectorised(Multiply::<T, A, false, _> { a, columns, b, rows, depth, wanted, tiles });
    }
}

/// Whether a fused multiplication and addition is one instruction here, and not a slow function.
fn has_fused() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    return cfg!(target_arch = "aarch64");
}

struct Multiply<'a, T, const A: usize, const FUSED: bool, F> {
    a: &'a Panels<T, A>,
    columns: Range<usize>,
    b: &'a Panels<T, SHORT>,
    rows: Range<usize>,
    depth: usize,
    wanted: F,
    tiles: &'a mut [Tile<T, A>],
}

impl<T: Float, const A: usize, const FUSED: bool, F: Fn(usize, usize) -> bool> Kernel
    for Multiply<'_, T, A, FUSED, F>
{
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let width = self.columns.len();
        for first in self.columns.clone().step_by(TALL) {
            let last = self.columns.end.min(first + TALL);
            for start in (0..self.depth).step_by(DEPTH) {
                let depth = DEPTH.min(self.depth - start);
                for (row, j) in self.rows.clone().enumerate() {
                    let b = &self.b.part(j, start)[..depth];
                    for i in first..last {
                        if (self.wanted)(i, j) {
                            let a = &self.a.part(i, start)[..depth];
                            let tile = &mut self.tiles[row * width + i - self.columns.start];
                            add_products::<T, A, FUSED>(a, b, tile);
                        }
                    }
                }
            }
        }
    }
}

/// Adds the products of two panels: the sums stay in registers.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn add_products<T: Float, const A: usize, const FUSED: bool>(
    a: &[[T; A]],
    b: &[[T; SHORT]],
    tile: &mut Tile<T, A>,
) {
    let mut sums = [[T::ZERO; A]; SHORT];
    for (a, b) in a.iter().zip(b) {
        for j in 0..SHORT {
            for i in 0..A {
                sums[j][i] = if FUSED {
                    a[i].fused(b[j], sums[j][i])
                } else {
                    a[i].unfused(b[j], sums[j][i])
                };
            }
        }
    }
    for j in 0..SHORT {
        for i in 0..A {
            tile[j][i] = tile[j][i].plus(sums[j][i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: usize = 8;

    fn value(i: usize, k: usize) -> f64 {
        ((i * 31 + k * 17) % 19) as f64 - 9.0
    }

    fn packed<const W: usize>(vectors: usize, depth: usize, shift: usize) -> Panels<f64, W> {
        let mut panels = Panels::zeros(vectors, depth);
        for i in 0..vectors {
            let vector: Vec<f64> = (0..depth).map(|k| value(i + shift, k)).collect();
            panels.set(i, &vector);
        }
        panels
    }

    fn product<const FUSED: bool>(
        a: &Panels<f64, A>,
        b: &Panels<f64, SHORT>,
        depth: usize,
    ) -> Vec<Tile<f64, A>> {
        let mut tiles = vec![[[0.0; A]; SHORT]; a.len() * b.len()];
        let (columns, rows) = (0..a.len(), 0..b.len());
        let wanted = |_, _| true;
        vectorised(Multiply::<f64, A, FUSED, _> {
            a,
            columns,
            b,
            rows,
            depth,
            wanted,
            tiles: &mut tiles,
        });
        tiles
    }

    #[test]
    fn products_are_those_of_the_vectors_with_one_rounding_or_two() {
        // More panels than fit in the cache together, depths at and past a part; small integers, so sums are exact.
        for (n_a, n_b, depth) in [(1, 1, 1), (130, 13, DEPTH), (9, 7, 2 * DEPTH + 3)] {
            let (a, b) = (packed::<A>(n_a, depth, 0), packed::<SHORT>(n_b, depth, 4));
            let fused = product::<true>(&a, &b, depth);
            for i in 0..n_a {
                for j in 0..n_b {
                    let plain: f64 = (0..depth).map(|k| value(i, k) * value(j + 4, k)).sum();
                    let tile = &fused[j / SHORT * a.len() + i / A];
                    assert_eq!(tile[j % SHORT][i % A], plain, "{i} {j} {depth}");
                }
            }
            assert_eq!(fused, product::<false>(&a, &b, depth));
        }
    }

    #[test]
    fn what_is_not_wanted_is_zero_and_the_first_rows_can_be_multiplied_alone() {
        let (a, b) = (packed::<A>(16, 40, 0), packed::<SHORT>(6, 40, 0));
        let mut tiles = vec![[[7.0; A]; SHORT]; 1];
        multiply((&a, 1..2), (&b, 0..1), 10, |_, _| true, &mut tiles);
        let plain: f64 = (0..10).map(|k| value(8, k) * value(5, k)).sum();
        assert_eq!(tiles[0][5][0], plain);
        multiply((&a, 1..2), (&b, 0..1), 10, |i, j| (i, j) != (1, 0), &mut tiles);
        assert_eq!(tiles[0], [[0.0; A]; SHORT]);
    }
}
