//! From a band to three diagonals with the same eigenvalues.
//!
//! Each column is cleared below its subdiagonal by a reflector of `width` entries; what it stirs up below the band is
//! chased down the matrix (Lang 1993, SIAM J. Sci. Comput. 14, 1320-1338). All of it happens in blocks of `width x width`,
//! which stay in the cache.

use crate::linalg::vectors::{axpy, axpy_dot, dot, reflector};
use crate::simd::{Kernel, vectorised};
use faer::MatRef;

/// The lower half of a symmetric band matrix, column by column, with room for what is chased.
#[derive(Debug)]
pub(super) struct Band {
    n: usize,
    width: usize,
    /// Entry `(i, j)` at `j * 2 width + i - j`.
    values: Vec<f64>,
}

/// Diagonal and subdiagonal.
pub(super) type Tridiagonal = (Vec<f64>, Vec<f64>);

impl Band {
    /// The lower triangle of `a` down to `width` rows below the diagonal.
    pub(super) fn new(a: MatRef<'_, f64>, width: usize) -> Self {
        let n = a.nrows();
        let mut band = Self { n, width, values: vec![0.0; n * 2 * width] };
        for j in 0..n {
            let rows = (width + 1).min(n - j);
            let source = a.col(j).subrows(j, rows);
            let target = &mut band.values[j * 2 * width..][..rows];
            target.iter_mut().zip(source.iter()).for_each(|(t, s)| *t = *s);
        }
        band
    }

    /// The tridiagonal matrix with the eigenvalues of this band.
    pub(super) fn into_tridiagonal(self) -> Tridiagonal {
        vectorised(Chase { band: self })
    }

    /// Rows `from..to` of column `j`, all on or below the diagonal.
    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn column(&mut self, j: usize, from: usize, to: usize) -> &mut [f64] {
        &mut self.values[j * 2 * self.width + from - j..][..to - from]
    }
}

struct Chase {
    band: Band,
}

impl Kernel for Chase {
    type Output = Tridiagonal;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) -> Tridiagonal {
        let mut band = self.band;
        let (n, width) = (band.n, band.width);
        let mut v = vec![0.0; width];
        let mut next = vec![0.0; width];
        let mut work = vec![0.0; width];
        for j in 0..n.saturating_sub(2) {
            let (mut start, mut end) = (j + 1, (j + 1 + width).min(n));
            let mut tau = clear(band.column(j, start, end), &mut v);
            loop {
                reflect_diagonal(&mut band, (start, end), &v, tau, &mut work);
                let below = (end + width).min(n);
                if below == end {
                    break;
                }
                tau =
                    reflect_below(&mut band, [start, end, below], (&v, tau), &mut next, &mut work);
                std::mem::swap(&mut v, &mut next);
                (start, end) = (end, below);
            }
        }
        let diagonal = |offset: usize, n: usize| {
            (0..n).map(|j| band.values[j * 2 * width + offset]).collect::<Vec<f64>>()
        };
        (diagonal(0, n), diagonal(1, n.saturating_sub(1)))
    }
}

/// Clears `column` but for its first entry; the reflector goes to `v`.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn clear(column: &mut [f64], v: &mut [f64]) -> f64 {
    let v = &mut v[..column.len()];
    v.copy_from_slice(column);
    let (tau, beta) = reflector(v);
    column.fill(0.0);
    column[0] = beta;
    tau
}

/// `H D H` for the block on the diagonal.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn reflect_diagonal(
    band: &mut Band,
    (start, end): (usize, usize),
    v: &[f64],
    tau: f64,
    work: &mut [f64],
) {
    let size = end - start;
    let (v, w) = (&v[..size], &mut work[..size]);
    w.fill(0.0);
    for c in 0..size {
        let column = band.column(start + c, start + c, end);
        w[c] += column[0] * v[c] + dot(&column[1..], &v[c + 1..]);
        axpy(&mut w[c + 1..], v[c], &column[1..]);
    }
    w.iter_mut().for_each(|w| *w *= tau);
    let shift = -0.5 * tau * dot(w, v);
    axpy(w, shift, v);
    for c in 0..size {
        let (v_c, w_c) = (v[c], w[c]);
        let column = band.column(start + c, start + c, end);
        for ((x, v), w) in column.iter_mut().zip(&v[c..]).zip(&w[c..]) {
            *x -= v_c * w + w_c * v;
        }
    }
}

/// `B H` for the block below, then its first column is cleared by a reflector that goes to `next`; returns its factor.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn reflect_below(
    band: &mut Band,
    [start, end, below]: [usize; 3],
    (v, tau): (&[f64], f64),
    next: &mut [f64],
    work: &mut [f64],
) -> f64 {
    let w = &mut work[..below - end];
    w.fill(0.0);
    for c in start..end {
        axpy(w, v[c - start], band.column(c, end, below));
    }
    let first = band.column(start, end, below);
    axpy(first, -tau, w);
    let next_tau = clear(first, next);
    let u = &next[..below - end];
    for c in start + 1..end {
        let column = band.column(c, end, below);
        let product = axpy_dot(column, -tau * v[c - start], w, u);
        axpy(column, -next_tau * product, u);
    }
    next_tau
}
