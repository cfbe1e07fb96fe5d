//! From a symmetric matrix to a band with the same eigenvalues, almost all of it in products of matrices.
//!
//! A panel of `width` columns is cleared below the band by `Q = 1 - V T V^T`, and with `X = A V T` and
//! `Y = X - V T^T (V^T X) / 2` the rest becomes `Q^T A Q = A - Y V^T - V Y^T` (successive band reduction: Bischof, Lang and
//! Sun 2000, ACM TOMS 26, 581-601). A direct reduction to three diagonals would read the whole matrix for each column
//! instead of for each panel.

use super::tridiagonal::Band;
use crate::linalg::vectors::{axpy, dot, reflector};
use crate::simd::{Kernel, vectorised};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of one tile of a product.
const TILE: usize = 128;

/// Reduces the matrix whose lower triangle is given.
pub(super) fn to_band(mut a: Mat<f64>, width: usize) -> Band {
    let n = a.nrows();
    let mut start = 0;
    while start + width + 1 < n {
        let first = start + width;
        let rows = n - first;
        let mut panel = Panel::new(a.as_ref().submatrix(first, start, rows, width));
        let taus = vectorised(FactorPanel { panel: &mut panel });
        for j in 0..width {
            let column = &panel.column(j)[..(j + 1).min(rows)];
            a.col_as_slice_mut(start + j)[first..first + column.len()].copy_from_slice(column);
        }
        reflect(a.as_mut().submatrix_mut(first, first, rows, rows), &panel, &taus);
        start += width;
    }
    Band::new(a.as_ref(), width)
}

/// Columns below the band, one after the other.
struct Panel {
    rows: usize,
    values: Vec<f64>,
}

impl Panel {
    fn new(block: MatRef<'_, f64>) -> Self {
        let columns = (0..block.ncols()).flat_map(|j| block.col(j).iter().copied());
        Self { rows: block.nrows(), values: columns.collect() }
    }

    fn column(&self, j: usize) -> &[f64] {
        &self.values[j * self.rows..(j + 1) * self.rows]
    }

    /// The `count` reflectors: zero above their first entry, which is one.
    fn reflectors(&self, count: usize) -> Mat<f64> {
        let mut v = Mat::zeros(self.rows, count);
        for j in 0..count {
            let column = v.col_as_slice_mut(j);
            column[j] = 1.0;
            column[j + 1..].copy_from_slice(&self.column(j)[j + 1..]);
        }
        v
    }
}

/// Triangularises a panel; the reflectors stay below its diagonal and their factors are returned.
struct FactorPanel<'a> {
    panel: &'a mut Panel,
}

impl Kernel for FactorPanel<'_> {
    type Output = Vec<f64>;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let rows = self.panel.rows;
        let columns = self.panel.values.len() / rows;
        let mut taus = Vec::with_capacity(columns);
        for j in 0..columns.min(rows - 1) {
            let (done, rest) = self.panel.values.split_at_mut((j + 1) * rows);
            let v = &mut done[j * rows + j..];
            let (tau, beta) = reflector(v);
            for column in rest.chunks_exact_mut(rows) {
                let x = &mut column[j..];
                let scale = tau * (x[0] + dot(&v[1..], &x[1..]));
                x[0] -= scale;
                axpy(&mut x[1..], -scale, &v[1..]);
            }
            v[0] = beta;
            taus.push(tau);
        }
        taus
    }
}

/// `A <- Q^T A Q`, lower triangle.
fn reflect(a: MatMut<'_, f64>, panel: &Panel, taus: &[f64]) {
    let (rows, count) = (panel.rows, taus.len());
    let v = panel.reflectors(count);
    let t = triangular_factor(v.as_ref(), taus);
    let moved = symmetric_product(a.as_ref(), v.as_ref());
    // [Y V] and the transpose of [V Y], so that both rank updates are one product.
    let (mut left, mut right) = (Mat::zeros(rows, 2 * count), Mat::zeros(2 * count, rows));
    let mut y = left.as_mut().subcols_mut(0, count);
    matmul(y.as_mut(), Accum::Replace, moved.as_ref(), t.as_ref(), 1.0, Par::Seq);
    let mut inner = Mat::<f64>::zeros(count, count);
    matmul(inner.as_mut(), Accum::Replace, v.transpose(), y.as_ref(), 1.0, Par::Seq);
    let mut half = Mat::<f64>::zeros(count, count);
    matmul(half.as_mut(), Accum::Replace, t.transpose(), inner.as_ref(), 1.0, Par::Seq);
    matmul(y.as_mut(), Accum::Add, v.as_ref(), half.as_ref(), -0.5, Par::Seq);
    right.as_mut().subrows_mut(count, count).copy_from(y.transpose());
    right.as_mut().subrows_mut(0, count).copy_from(v.transpose());
    left.as_mut().subcols_mut(count, count).copy_from(v.as_ref());
    a.par_col_chunks_mut(TILE).enumerate().for_each(|(tile, columns)| {
        let start = tile * TILE;
        let size = columns.ncols();
        matmul(
            columns.subrows_mut(start, rows - start),
            Accum::Add,
            left.as_ref().subrows(start, rows - start),
            right.as_ref().subcols(start, size),
            -1.0,
            Par::Seq,
        );
    });
}

/// `T` of `Q = 1 - V T V^T`, upper triangular, from the factor of each reflector.
fn triangular_factor(v: MatRef<'_, f64>, taus: &[f64]) -> Mat<f64> {
    let count = taus.len();
    let mut gram = Mat::<f64>::zeros(count, count);
    matmul(gram.as_mut(), Accum::Replace, v.transpose(), v, 1.0, Par::Seq);
    let mut t = Mat::<f64>::zeros(count, count);
    for (j, &tau) in taus.iter().enumerate() {
        for i in 0..j {
            let sum: f64 = (i..j).map(|k| t[(i, k)] * gram[(k, j)]).sum();
            t[(i, j)] = -tau * sum;
        }
        t[(j, j)] = tau;
    }
    t
}

/// `A V` for a symmetric `A` given by its lower triangle. Tiles are added in their order.
fn symmetric_product(a: MatRef<'_, f64>, v: MatRef<'_, f64>) -> Mat<f64> {
    let starts: Vec<usize> = (0..a.nrows()).step_by(TILE).collect();
    let parts: Vec<Mat<f64>> =
        starts.par_iter().with_max_len(1).map(|&start| tile_product(a, v, start)).collect();
    let mut sum = Mat::<f64>::zeros(a.nrows(), v.ncols());
    for (start, part) in starts.into_iter().zip(&parts) {
        for j in 0..v.ncols() {
            let total = &mut sum.col_as_slice_mut(j)[start..];
            total.iter_mut().zip(part.col_as_slice(j)).for_each(|(s, p)| *s += p);
        }
    }
    sum
}

/// What the columns from `start` on add to `A V`, and by symmetry the rows: rows from `start` on.
fn tile_product(a: MatRef<'_, f64>, v: MatRef<'_, f64>, start: usize) -> Mat<f64> {
    let size = TILE.min(a.nrows() - start);
    let below = a.nrows() - start - size;
    let diagonal = mirrored(a.submatrix(start, start, size, size));
    let lower = a.submatrix(start + size, start, below, size);
    let (v_here, v_below) = (v.subrows(start, size), v.subrows(start + size, below));
    let mut part = Mat::<f64>::zeros(size + below, v.ncols());
    let (mut here, mut rest) = part.as_mut().split_at_row_mut(size);
    matmul(here.as_mut(), Accum::Replace, diagonal.as_ref(), v_here, 1.0, Par::Seq);
    matmul(here.as_mut(), Accum::Add, lower.transpose(), v_below, 1.0, Par::Seq);
    matmul(rest.as_mut(), Accum::Replace, lower, v_here, 1.0, Par::Seq);
    part
}

/// A symmetric matrix in full.
fn mirrored(lower: MatRef<'_, f64>) -> Mat<f64> {
    let n = lower.nrows();
    let mut full = Mat::<f64>::zeros(n, n);
    for j in 0..n {
        for (i, &value) in lower.col(j).iter().enumerate().skip(j) {
            full[(i, j)] = value;
            full[(j, i)] = value;
        }
    }
    full
}
