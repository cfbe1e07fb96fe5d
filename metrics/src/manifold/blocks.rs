//! Squared distances between blocks of rows, in f32 with a bound on their error, and single ones in f64.

use crate::error::{MetricError, Result, at_least};
use crate::features::Features;
use crate::gemm::{DEPTH, Panels, SHORT};
use crate::simd::{Kernel, vectorised};
use rayon::prelude::*;

/// Rows of one block.
pub(super) const BLOCK: usize = 1024;

/// Rows of a panel of the tall factor: two registers of AVX2.
pub(super) const TALL: usize = 16;

/// A set of rows, centred on the fly: nothing of its size is held beside the rows themselves.
pub(super) struct Cloud<'a, 'c> {
    features: Features<'a>,
    centre: &'c [f32],
    /// Squared norm of each row, centred.
    norms: Vec<f32>,
    largest_norm: f32,
}

impl<'a, 'c> Cloud<'a, 'c> {
    /// The rows of `features`, which are finite.
    pub(super) fn new(
        features: Features<'a>,
        centre: &'c [f32],
        what: &'static str,
        needed: usize,
    ) -> Result<Self> {
        at_least(what, features.n(), needed)?;
        let mut cloud = Self { features, centre, norms: Vec::new(), largest_norm: 0.0 };
        let norm_of = |row: &mut Vec<f32>, i| {
            *row = cloud.centred(i, std::mem::take(row));
            squared_norm(row)
        };
        cloud.norms = (0..cloud.n()).into_par_iter().map_init(Vec::new, norm_of).collect();
        cloud.largest_norm = cloud.norms.iter().copied().fold(0.0, f32::max);
        // Four of them must add up without overflow.
        let is_large = |norm: &&f32| norm.is_nan() || **norm > f32::MAX / 8.0;
        if let Some(norm) = cloud.norms.iter().find(is_large) {
            // Rows so far apart that their mean overflows have a distance that is no number.
            let got = if norm.is_nan() { "beyond f32".to_owned() } else { format!("{norm:e}") };
            return Err(MetricError::out_of_range(
                "the largest squared distance of a row from the mean of the real set",
                got,
                "at most 4e37, what f32 holds: scale both sets down",
            ));
        }
        Ok(cloud)
    }

    pub(super) fn n(&self) -> usize {
        self.features.n()
    }

    pub(super) fn starts(&self) -> Vec<usize> {
        (0..self.n()).step_by(BLOCK).collect()
    }

    /// The block from `start` on, packed as a factor of a product.
    fn pack<const W: usize>(&self, start: usize) -> Panels<f32, W> {
        let rows = start..self.n().min(start + BLOCK);
        let mut panels = Panels::zeros(rows.len(), self.centre.len());
        let mut row = Vec::with_capacity(self.centre.len());
        for (at, i) in rows.enumerate() {
            row = self.centred(i, row);
            panels.set(at, &row);
        }
        panels
    }

    /// As [`Cloud::pack`], for the side whose rows are told apart by the lanes of a register.
    pub(super) fn pack_tall(&self, start: usize) -> Panels<f32, TALL> {
        self.pack(start)
    }

    /// As [`Cloud::pack`], for the other side.
    pub(super) fn pack_short(&self, start: usize) -> Panels<f32, SHORT> {
        self.pack(start)
    }

    /// Squared norms of the block from `start` on, centred.
    pub(super) fn norms(&self, start: usize) -> &[f32] {
        &self.norms[start..self.n().min(start + BLOCK)]
    }

    /// Squared norm of row `i`, centred.
    pub(super) fn norm(&self, i: usize) -> f32 {
        self.norms[i]
    }

    /// The largest squared norm of all rows.
    pub(super) fn largest_norm(&self) -> f32 {
        self.largest_norm
    }

    /// Row `i` less the centre, in the memory of `row`. The difference is rounded once, from the precision of the row.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "distances are f32 until they are in doubt"
    )]
    fn centred(&self, i: usize, mut row: Vec<f32>) -> Vec<f32> {
        row.clear();
        let centre = self.centre.iter();
        match self.features {
            Features::F32(rows) => match rows.row(i).to_slice() {
                Some(values) => row.extend(values.iter().zip(centre).map(|(v, c)| v - c)),
                None => row.extend(rows.row(i).iter().zip(centre).map(|(v, c)| v - c)),
            },
            Features::F64(rows) => {
                row.extend(rows.row(i).iter().zip(centre).map(|(v, c)| (v - f64::from(*c)) as f32));
            }
        }
        row
    }

    /// Length of a row.
    pub(super) fn dim(&self) -> usize {
        self.centre.len()
    }

    /// How far an f32 squared distance may be from the exact one, for a sum `norms` of the two squared norms.
    pub(super) fn rounding(&self, norms: f32) -> f64 {
        relative_error(self.dim()) * f64::from(norms) + f64::from(f32::MIN_POSITIVE)
    }

    /// The squared distance of two rows in f64.
    pub(super) fn exact(&self, i: usize, other: &Cloud<'_, '_>, j: usize) -> f64 {
        squared_distance(self.features, i, other.features, j)
    }
}

/// Bound on the rounding error of `|a|^2 + |b|^2 - 2 a.b` in f32, relative to `|a|^2 + |b|^2`.
///
/// A product of depth `d` is summed [`DEPTH`] terms at a time: `DEPTH + d / DEPTH + 1` roundings of at most half a unit
/// each, of terms whose absolute values add up to at most `(|a|^2 + |b|^2) / 2`, twice. Centring rounds each value once,
/// which moves the distance by at most 4 units; norms and their sum add 3 more. The rest is room for second order.
fn relative_error(dim: usize) -> f64 {
    let roundings = DEPTH + dim.div_ceil(DEPTH) + 1 + 4 + 3;
    1.01 * roundings as f64 * f64::from(f32::EPSILON / 2.0)
}

#[expect(clippy::cast_possible_truncation, reason = "distances are f32 until they are in doubt")]
fn squared_norm(row: &[f32]) -> f32 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32
}

/// Squared distance of row i of `a` and row j of `b`.
pub(super) fn squared_distance(a: Features<'_>, i: usize, b: Features<'_>, j: usize) -> f64 {
    if let (Features::F32(a), Features::F32(b)) = (a, b)
        && let (Some(a), Some(b)) = (a.row(i).to_slice(), b.row(j).to_slice())
    {
        return vectorised(SquaredDistance { a, b });
    }
    if let (Features::F64(a), Features::F64(b)) = (a, b)
        && let (Some(a), Some(b)) = (a.row(i).to_slice(), b.row(j).to_slice())
    {
        return vectorised(SquaredDistance { a, b });
    }
    let at = |f: Features<'_>, row: usize, k: usize| match f {
        Features::F32(rows) => f64::from(rows[[row, k]]),
        Features::F64(rows) => rows[[row, k]],
    };
    let square = |k| (at(a, i, k) - at(b, j, k)).powi(2);
    let sums = (0..a.dim()).fold([0.0; LANES], |mut sums, k| {
        sums[k % LANES] += square(k);
        sums
    });
    sums.iter().sum()
}

/// Sums of a squared distance, so that one addition need not wait for another. Both layouts sum in the same order.
const LANES: usize = 8;

struct SquaredDistance<'a, T> {
    a: &'a [T],
    b: &'a [T],
}

impl<T: Copy + Into<f64>> Kernel for SquaredDistance<'_, T> {
    type Output = f64;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = [0.0_f64; LANES];
        for (a, b) in self.a.chunks(LANES).zip(self.b.chunks(LANES)) {
            for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                let difference: f64 = a.into() - b.into();
                *sum += difference * difference;
            }
        }
        sums.iter().sum()
    }
}
