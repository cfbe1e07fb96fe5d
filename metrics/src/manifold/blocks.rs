//! Squared distances between blocks of rows, in f32, and single ones exactly.

use crate::error::{Result, at_least};
use crate::features::Features;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// Rows of one block.
pub(super) const BLOCK: usize = 1024;

/// A set of rows, centred on the fly.
pub(super) struct Cloud<'a, 'c> {
    features: Features<'a>,
    centre: &'c [f32],
    /// Squared norm of each row, centred.
    norms: Vec<f32>,
}

/// Some rows of a cloud, centred, with their squared norms.
pub(super) struct Block {
    pub(super) start: usize,
    rows: Vec<f32>,
    norms: Vec<f32>,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.norms.len()
    }

    /// Squared norm of each row, centred.
    pub(super) fn norms(&self) -> &[f32] {
        &self.norms
    }
}

impl<'a, 'c> Cloud<'a, 'c> {
    pub(super) fn new(
        features: Features<'a>,
        centre: &'c [f32],
        what: &'static str,
        needed: usize,
    ) -> Result<Self> {
        at_least(what, features.n(), needed)?;
        features.check_finite(what)?;
        let mut cloud = Self { features, centre, norms: Vec::new() };
        let norms: Vec<Vec<f32>> = cloud
            .starts()
            .par_iter()
            .map(|&start| {
                cloud.centred(start).chunks_exact(centre.len()).map(squared_norm).collect()
            })
            .collect();
        cloud.norms = norms.concat();
        Ok(cloud)
    }

    pub(super) fn n(&self) -> usize {
        self.features.n()
    }

    pub(super) fn starts(&self) -> Vec<usize> {
        (0..self.n()).step_by(BLOCK).collect()
    }

    pub(super) fn block(&self, start: usize) -> Block {
        let end = self.n().min(start + BLOCK);
        Block { start, rows: self.centred(start), norms: self.norms[start..end].to_vec() }
    }

    /// The rows of the block from `start` on, less the centre.
    fn centred(&self, start: usize) -> Vec<f32> {
        let end = self.n().min(start + BLOCK);
        let dim = self.centre.len();
        let mut rows = Vec::with_capacity((end - start) * dim);
        for i in start..end {
            self.features.append_row_f32(i, &mut rows);
        }
        for row in rows.chunks_exact_mut(dim) {
            row.iter_mut().zip(self.centre).for_each(|(v, c)| *v -= c);
        }
        rows
    }

    /// The squared distance of two rows in f64.
    pub(super) fn exact(&self, i: usize, other: &Cloud<'_, '_>, j: usize) -> f64 {
        squared_distance(self.features, i, other.features, j)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "distances are f32 until they are in doubt")]
fn squared_norm(row: &[f32]) -> f32 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32
}

/// Squared distance of row i of `a` and row j of `b`.
pub(super) fn squared_distance(a: Features<'_>, i: usize, b: Features<'_>, j: usize) -> f64 {
    if let (Features::F32(a), Features::F32(b)) = (a, b) {
        let pairs = a.row(i).into_iter().zip(b.row(j));
        return pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    }
    let at = |f: Features<'_>, row: usize, k: usize| match f {
        Features::F32(rows) => f64::from(rows[[row, k]]),
        Features::F64(rows) => rows[[row, k]],
    };
    (0..a.dim()).map(|k| (at(a, i, k) - at(b, j, k)).powi(2)).sum()
}

/// Squared distances `[a, b]`, and a bound on their rounding error relative to the sum of the two squared norms.
pub(super) fn squared_distances(a: &Block, b: &Block) -> Mat<f32> {
    let dim = a.rows.len() / a.len();
    let mut out = Mat::<f32>::zeros(a.len(), b.len());
    matmul(
        out.as_mut(),
        Accum::Replace,
        MatRef::from_row_major_slice(&a.rows, a.len(), dim),
        MatRef::from_row_major_slice(&b.rows, b.len(), dim).transpose(),
        -2.0,
        Par::Seq,
    );
    for (column, norm_b) in out.col_iter_mut().zip(&b.norms) {
        for (value, norm_a) in column.iter_mut().zip(&a.norms) {
            *value += norm_a + norm_b;
        }
    }
    out
}

/// Rounding error of an f32 squared distance, relative to the sum of the two squared norms.
pub(super) const RELATIVE: f64 = 2e-5;

/// How far an f32 squared distance may be from the exact one.
pub(super) fn rounding(a: &Block, i: usize, b: &Block, j: usize) -> f64 {
    RELATIVE * f64::from(a.norms[i] + b.norms[j]) + f64::from(f32::MIN_POSITIVE)
}
