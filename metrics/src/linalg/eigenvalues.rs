//! The eigenvalues of a symmetric matrix, without eigenvectors.

use super::band::to_band;
use crate::error::{MetricError, Result};
use faer::diag::{Diag, DiagRef};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd,
};
use faer::{Col, Mat, MatRef, Par, Spec};

/// Below this size the direct reduction of faer is as fast.
const SMALL: usize = 192;

/// Rows below the diagonal of the band on the way. Wider bands make better products and longer chases.
const WIDTH: usize = 32;

/// Eigenvalues of a symmetric matrix, ascending. Only the lower triangle is read.
pub(crate) fn eigenvalues(a: MatRef<'_, f64>, what: &'static str) -> Result<Vec<f64>> {
    if a.nrows() == 0 {
        return Ok(Vec::new());
    }
    if a.nrows() <= SMALL { direct(a, what) } else { by_band(a, WIDTH, what) }
}

/// By faer alone.
fn direct(a: MatRef<'_, f64>, what: &'static str) -> Result<Vec<f64>> {
    let n = a.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    self_adjoint_evd(a, values.as_mut(), None, Par::Seq, stack, Spec::default())
        .map_err(|_| MetricError::NoConvergence { what })?;
    Ok(values.column_vector().iter().copied().collect())
}

/// Over a band of `width`, then three diagonals, whose eigenvalues faer finds.
fn by_band(a: MatRef<'_, f64>, width: usize, what: &'static str) -> Result<Vec<f64>> {
    let n = a.nrows();
    let Some(scale) = power_of_two_above(a) else {
        return Err(MetricError::NoConvergence { what });
    };
    let scaled = Mat::from_fn(n, n, |i, j| if i >= j { a[(i, j)] / scale } else { 0.0 });
    let (diagonal, below) = to_band(scaled, width).into_tridiagonal();
    let below = Col::from_fn(n, |i| below.get(i).copied().unwrap_or(0.0));
    let diagonal = Col::from_fn(n, |i| diagonal[i]);
    let (diagonal, below): (DiagRef<'_, f64>, DiagRef<'_, f64>) =
        (diagonal.as_diagonal(), below.as_diagonal());
    let mut values = Diag::<f64>::zeros(n);
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let out = values.as_mut();
    tridiagonal_self_adjoint_evd(diagonal, below, out, None, Par::Seq, stack, Spec::default())
        .map_err(|_| MetricError::NoConvergence { what })?;
    Ok(values.column_vector().iter().map(|v| v * scale).collect())
}

/// The smallest power of two that no entry exceeds, so that squares neither overflow nor vanish; `None` unless all are
/// finite. Dividing by it is exact.
fn power_of_two_above(a: MatRef<'_, f64>) -> Option<f64> {
    let mut largest = 0.0_f64;
    for j in 0..a.ncols() {
        for value in a.col(j).subrows(j, a.nrows() - j).iter() {
            if !value.is_finite() {
                return None;
            }
            largest = largest.max(value.abs());
        }
    }
    let exponent = if largest == 0.0 { 0 } else { libm::ilogb(largest) + 1 };
    Some(libm::ldexp(1.0, exponent.clamp(-1021, 1023)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(i: usize, j: usize) -> f64 {
        libm::sin(1.0 + 3.7 * i as f64 + 1.3 * j as f64 + 0.01 * (i * j) as f64)
    }

    /// A symmetric matrix with known eigenvalues: reflected at a few vectors.
    fn with_eigenvalues(values: &[f64]) -> Mat<f64> {
        let n = values.len();
        let mut a = Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 });
        for k in 0..3 {
            let v: Vec<f64> = (0..n).map(|i| wave(i, k)).collect();
            let tau = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
            let av: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[(i, j)] * v[j]).sum()).collect();
            let vav: f64 = v.iter().zip(&av).map(|(x, y)| x * y).sum();
            a = Mat::from_fn(n, n, |i, j| {
                a[(i, j)] - tau * (v[i] * av[j] + av[i] * v[j]) + tau * tau * vav * v[i] * v[j]
            });
        }
        a
    }

    fn worst(ours: &[f64], known: &[f64]) -> f64 {
        ours.iter().zip(known).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn the_band_keeps_the_eigenvalues_at_every_size_and_width() {
        for n in [2, 3, 5, 8, 9, 17, 40, 41, 63, 130] {
            let known: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.25 - 3.0).collect();
            let a = with_eigenvalues(&known);
            for width in [2, 3, 4, 8, 32] {
                let ours = by_band(a.as_ref(), width, "a test").unwrap();
                assert!(worst(&ours, &known) < 1e-12, "n = {n}, width = {width}");
            }
        }
    }

    #[test]
    fn a_large_matrix_without_full_rank_has_its_zeros() {
        let n = 300;
        let known: Vec<f64> =
            (0..n).map(|i| if i < 120 { 0.0 } else { libm::pow(1.05, i as f64 - 200.0) }).collect();
        let ours = eigenvalues(with_eigenvalues(&known).as_ref(), "a test").unwrap();
        assert!(worst(&ours, &known) < 1e-13 * known[n - 1]);
    }

    #[test]
    fn scale_does_not_matter_and_infinity_is_refused() {
        let known: Vec<f64> = (0..200).map(|i| 1.0 + f64::from(i)).collect();
        let a = with_eigenvalues(&known);
        for scale in [1e-300, 1e-160, 1e160, 1e300] {
            let scaled = Mat::from_fn(200, 200, |i, j| a[(i, j)] * scale);
            let ours = eigenvalues(scaled.as_ref(), "a test").unwrap();
            let ours: Vec<f64> = ours.iter().map(|v| v / scale).collect();
            assert!(worst(&ours, &known) < 1e-10, "{scale}");
        }
        let mut bad = a;
        bad[(150, 3)] = f64::INFINITY;
        assert!(eigenvalues(bad.as_ref(), "a test").is_err());
    }
}
