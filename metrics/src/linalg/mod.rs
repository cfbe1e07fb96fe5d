//! The four dense kernels that the metrics need, each with a result that does not depend on threads.
//!
//! Parallel work is cut into tiles of a fixed size, and each tile is computed by one thread in one order.

use crate::error::{MetricError, Result};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Spec};
use rayon::prelude::*;

mod band;
mod eigenvalues;
mod tridiagonal;
mod vectors;

pub(crate) use eigenvalues::eigenvalues;

/// Columns of one tile of a product.
const TILE: usize = 256;

/// Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix. Only the lower triangle is read.
pub(crate) fn eigen(a: MatRef<'_, f64>, what: &'static str) -> Result<(Vec<f64>, Mat<f64>)> {
    let n = a.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    if n == 0 {
        return Ok((Vec::new(), vectors));
    }
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    self_adjoint_evd(
        a,
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Spec::default(),
    )
    .map_err(|_| MetricError::NoConvergence { what })?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// The Cholesky factor L of `a` = L L^T (upper triangle zeroed), or `None` where a pivot is not positive.
pub(crate) fn cholesky(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let n = a.nrows();
    let mut factor = a.to_owned();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, Spec::default()));
    cholesky_in_place(
        factor.as_mut(),
        faer::linalg::cholesky::llt::factor::LltRegularization::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Spec::default(),
    )
    .ok()?;
    for j in 0..n {
        for i in 0..j {
            factor[(i, j)] = 0.0;
        }
    }
    Some(factor)
}

/// `a * b`, in tiles of columns.
pub(crate) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::<f64>::zeros(a.nrows(), b.ncols());
    out.par_col_chunks_mut(TILE).enumerate().for_each(|(tile, mut panel)| {
        let columns = panel.ncols();
        matmul(panel.as_mut(), Accum::Replace, a, b.subcols(tile * TILE, columns), 1.0, Par::Seq);
    });
    out
}

/// The lower triangle of `a^T * a`, in tiles of columns. What is above the diagonal is not defined.
pub(crate) fn gram_lower(a: MatRef<'_, f64>) -> Mat<f64> {
    let d = a.ncols();
    let mut out = Mat::<f64>::zeros(d, d);
    out.par_col_chunks_mut(TILE).enumerate().for_each(|(tile, panel)| {
        let start = tile * TILE;
        let columns = panel.ncols();
        matmul(
            panel.subrows_mut(start, d - start),
            Accum::Replace,
            a.subcols(start, d - start).transpose(),
            a.subcols(start, columns),
            1.0,
            Par::Seq,
        );
    });
    out
}

/// The lower triangle of `f^T * s * f` for a symmetric `s`, given in full.
///
/// With `lower_triangular` the zeros of `f` above its diagonal are skipped.
pub(crate) fn congruence_lower(
    f: MatRef<'_, f64>,
    s: MatRef<'_, f64>,
    shape: FactorShape,
) -> Mat<f64> {
    let rank = f.ncols();
    let mut out = Mat::<f64>::zeros(rank, rank);
    out.par_col_chunks_mut(TILE).enumerate().for_each(|(tile, panel)| {
        let start = tile * TILE;
        let columns = panel.ncols();
        let first = match shape {
            FactorShape::LowerTriangular => start,
            FactorShape::Full => 0,
        };
        let dim = f.nrows();
        let f_panel = f.subrows(first, dim - first).subcols(start, columns);
        let mut s_f = Mat::<f64>::zeros(dim - first, columns);
        let s_block = s.subrows(first, dim - first).subcols(first, dim - first);
        matmul(s_f.as_mut(), Accum::Replace, s_block, f_panel, 1.0, Par::Seq);
        let f_rest = f.subrows(first, dim - first).subcols(start, rank - start);
        matmul(
            panel.subrows_mut(start, rank - start),
            Accum::Replace,
            f_rest.transpose(),
            s_f.as_ref(),
            1.0,
            Par::Seq,
        );
    });
    out
}

/// What is known of the zeros of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactorShape {
    /// Zero above the diagonal, square.
    LowerTriangular,
    /// Nothing known.
    Full,
}

/// Sum of the square roots of the `rank` largest eigenvalues of a positive semidefinite matrix.
///
/// Why only `rank`? A covariance of n samples has rank n - 1 at most. Its other eigenvalues are rounding
/// noise of about 1e-16 of the largest, and the root would lift each of them to 1e-8.
///
/// # Errors
/// [`MetricError::NotPositiveSemidefinite`] if an eigenvalue lies below `-tolerance`.
pub(crate) fn trace_of_root(
    values_ascending: &[f64],
    rank: usize,
    tolerance: f64,
    what: &'static str,
) -> Result<f64> {
    let (Some(&smallest), Some(&largest)) = (values_ascending.first(), values_ascending.last())
    else {
        return Ok(0.0);
    };
    if smallest < -tolerance {
        return Err(MetricError::NotPositiveSemidefinite { what, eigenvalue: smallest, largest });
    }
    let skipped = values_ascending.len().saturating_sub(rank);
    Ok(values_ascending[skipped..].iter().map(|v| v.max(0.0).sqrt()).sum())
}

/// A row-major slice as a matrix.
pub(crate) fn row_major(values: &[f64], rows: usize, columns: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(values, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| {
            libm::sin(1.0 + 3.7 * i as f64 + 1.3 * j as f64 + 0.01 * (i * j) as f64)
        })
    }

    fn plain_product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
        Mat::from_fn(a.nrows(), b.ncols(), |i, j| {
            (0..a.ncols()).map(|k| a[(i, k)] * b[(k, j)]).sum()
        })
    }

    #[test]
    fn tiled_products_equal_the_plain_ones() {
        let (a, b) = (sample(40, 300), sample(300, 520));
        let plain = plain_product(a.as_ref(), b.as_ref());
        let tiled = product(a.as_ref(), b.as_ref());
        assert!((&plain - &tiled).norm_max() < 1e-11);
        let gram = plain_product(b.transpose(), b.as_ref());
        let lower = gram_lower(b.as_ref());
        for j in 0..520 {
            for i in j..520 {
                assert!((gram[(i, j)] - lower[(i, j)]).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn congruence_with_a_triangular_factor_skips_only_zeros() {
        let x = sample(400, 300);
        let s = plain_product(x.transpose(), x.as_ref()) + Mat::<f64>::identity(300, 300);
        let l = cholesky(s.as_ref()).unwrap();
        let back = plain_product(l.as_ref(), l.transpose());
        assert!((back - &s).norm_max() < 1e-10 * s.norm_max());
        let s_l = plain_product(s.as_ref(), l.as_ref());
        let plain = plain_product(l.transpose(), s_l.as_ref());
        let tolerance = 1e-10 * plain.norm_max();
        for shape in [FactorShape::LowerTriangular, FactorShape::Full] {
            let lower = congruence_lower(l.as_ref(), s.as_ref(), shape);
            for j in 0..300 {
                for i in j..300 {
                    assert!((plain[(i, j)] - lower[(i, j)]).abs() < tolerance);
                }
            }
        }
    }

    #[test]
    fn cholesky_of_an_indefinite_matrix_is_none() {
        let mut a = Mat::<f64>::identity(3, 3);
        a[(2, 2)] = -1.0;
        assert!(cholesky(a.as_ref()).is_none());
    }
}
