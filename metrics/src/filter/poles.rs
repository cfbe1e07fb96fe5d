//! Sums of square roots of eigenvalues for many subsets that drop few rows, without an eigenproblem each.
//!
//! `sqrt(x) = sum_j w_j x / (x + s_j)` on `[m, M]` to rounding, with the nodes of Hale, Higham and Trefethen (2008,
//! method 3), whose error falls as `exp(-2 pi^2 N / (log(M / m) + 3))`. So for the Gram matrix K of the centred pool,
//! of which a subset sees the compression to the vectors that vanish on the dropped rows D and sum to zero,
//! `sum_i sqrt(mu_i) = sum_j w_j [(k - 1) - s_j tr ((K + s_j)|_S)^-1]`, and by the Schur complement
//! `tr ((K + s)|_S)^-1 = tr W - tr (W_DD^-1 (W^2)_DD)` with `W = (K + s)^-1`. The matrices W are shared by all subsets;
//! each subset pays for a Cholesky factor of the size of D.

use crate::error::Result;
use crate::linalg::{cholesky_inverse_lower, eigen, gram_lower};
use faer::Mat;
use rayon::prelude::*;
use std::f64::consts::PI;

/// Relative error aimed at: `exp(-27) = 2e-12`.
const DIGITS: f64 = 27.0;

/// Smallest eigenvalue that is resolved, relative to the largest.
const FLOOR: f64 = 1e-12;

/// `sum_i sqrt(mu_i)` of the centred Gram matrix of the rows left by each of `dropped`, or `None` where a factor broke
/// down in rounding.
///
/// `gram` is that of the centred pool, in full: its rows sum to zero.
pub(super) fn root_traces(gram: &Mat<f64>, dropped: &[Vec<usize>]) -> Result<Vec<Option<f64>>> {
    let n = gram.nrows();
    let largest = (0..n).map(|i| gram[(i, i)]).sum::<f64>();
    // The null vector 1 is lifted out of the way, to be subtracted without cancellation.
    let lifted = Mat::from_fn(n, n, |i, j| gram[(i, j)] + largest / n as f64);
    let (values, vectors) = eigen(lifted.as_ref(), "the pool's Gram matrix")?;
    // Eigenvectors as rows, so that scaling each touches memory in order.
    let rows_of_vectors = vectors.transpose().to_owned();
    let largest_value = values[n - 1].max(f64::MIN_POSITIVE);
    let range = (values[0].max(FLOOR * largest_value), largest_value);
    let mut sums: Vec<Option<f64>> = vec![Some(0.0); dropped.len()];
    for pole in poles(range) {
        let shifted: Vec<f64> = values.iter().map(|v| v.max(0.0) + pole.shift).collect();
        let one = 1.0 / (largest + pole.shift);
        let resolvent = spectral(&rows_of_vectors, &shifted, |v| 1.0 / v.sqrt(), one);
        let squared = spectral(&rows_of_vectors, &shifted, |v| 1.0 / v, one * one);
        let trace = shifted.iter().map(|v| 1.0 / v).sum::<f64>() - one;
        sums.par_iter_mut().zip(dropped).with_max_len(1).for_each(|(sum, rows)| {
            let lost = cholesky_inverse_lower(principal(&resolvent, rows))
                .map(|inverse| inner_lower(&inverse, &squared, rows));
            let left = (n - 1 - rows.len()) as f64;
            *sum = sum
                .zip(lost)
                .map(|(sum, lost)| sum + pole.weight * (left - pole.shift * (trace - lost)));
        });
    }
    Ok(sums)
}

/// One term of the approximation of the square root.
#[derive(Debug, Clone, Copy)]
struct Pole {
    shift: f64,
    weight: f64,
}

/// The poles for `x` in `[m, M]`.
///
/// With `u_j = (j - 1/2) K' / N`: `s_j = m sc^2(u_j)` and `w_j = 2 K' sqrt(m) / (pi N) dn(u_j) / cn^2(u_j)`, Jacobi
/// functions of complementary parameter `m / M`. The upper half comes from `sc(K' - u) = 1 / (k sc(u))`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some dozens of poles")]
fn poles((m, largest): (f64, f64)) -> Vec<Pole> {
    let ratio = m / largest;
    let pairs = (DIGITS * (3.0 - libm::log(ratio)) / (4.0 * PI * PI)).ceil().max(2.0) as usize;
    let n = 2 * pairs;
    let means = arithmetic_geometric(ratio);
    let quarter = PI / (2.0 * means[means.len() - 1].0);
    let scale = 2.0 * quarter / (PI * n as f64);
    let mut poles = Vec::with_capacity(n);
    for j in 0..pairs {
        let (sn, cn) = sn_cn((j as f64 + 0.5) * quarter / n as f64, &means);
        let dn = (cn * cn + ratio * sn * sn).sqrt();
        poles.push(Pole {
            shift: m * (sn / cn) * (sn / cn),
            weight: scale * m.sqrt() * dn / (cn * cn),
        });
        poles.push(Pole {
            shift: largest * (cn / sn) * (cn / sn),
            weight: scale * largest.sqrt() * dn / (sn * sn),
        });
    }
    poles
}

/// The arithmetic-geometric mean of 1 and `sqrt(complement)`: pairs `(a_i, c_i)`.
fn arithmetic_geometric(complement: f64) -> Vec<(f64, f64)> {
    let (mut a, mut b, mut c) = (1.0, complement.sqrt(), (1.0 - complement).sqrt());
    let mut means = vec![(a, c)];
    while c.abs() > 1e-16 * a {
        c = 0.5 * (a - b);
        (a, b) = (0.5 * (a + b), (a * b).sqrt());
        means.push((a, c));
    }
    means
}

/// Jacobi's sn and cn by descending Landen steps.
fn sn_cn(u: f64, means: &[(f64, f64)]) -> (f64, f64) {
    let steps = means.len() - 1;
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a few steps")]
    let mut phi = libm::ldexp(means[steps].0 * u, steps as i32);
    for &(a, c) in means[1..].iter().rev() {
        phi = 0.5 * (phi + libm::asin(c / a * libm::sin(phi)));
    }
    (libm::sin(phi), libm::cos(phi))
}

/// The lower triangle of `Q f(shifted)^2 Q^T` less its part `one` along the vector of ones.
fn spectral(rows: &Mat<f64>, shifted: &[f64], f: impl Fn(f64) -> f64, one: f64) -> Mat<f64> {
    let n = rows.nrows();
    let factors: Vec<f64> = shifted.iter().map(|&v| f(v)).collect();
    let scaled = Mat::from_fn(n, n, |i, j| rows[(i, j)] * factors[i]);
    let mut out = gram_lower(scaled.as_ref());
    let shift = one / n as f64;
    for j in 0..n {
        for i in j..n {
            out[(i, j)] -= shift;
        }
    }
    out
}

/// The lower triangle of the rows and columns `rows`, ascending.
fn principal(lower: &Mat<f64>, rows: &[usize]) -> Mat<f64> {
    let mut out = Mat::<f64>::zeros(rows.len(), rows.len());
    for (j, &column) in rows.iter().enumerate() {
        let source = lower.col_as_slice(column);
        let target = &mut out.col_as_slice_mut(j)[j..];
        target.iter_mut().zip(&rows[j..]).for_each(|(value, &row)| *value = source[row]);
    }
    out
}

/// `tr (A B_DD)` of two symmetric matrices of which the lower triangles are given.
fn inner_lower(a: &Mat<f64>, b: &Mat<f64>, rows: &[usize]) -> f64 {
    let mut sum = 0.0;
    for (j, &column) in rows.iter().enumerate() {
        let (a, b) = (&a.col_as_slice(j)[j..], b.col_as_slice(column));
        let products = a.iter().zip(&rows[j..]).map(|(v, &row)| v * b[row]);
        sum += 2.0 * products.sum::<f64>() - a[0] * b[column];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poles_give_the_square_root_on_the_whole_range() {
        for (m, largest) in [(1e-12, 1.0), (2e-3, 50.0), (0.5, 0.6)] {
            let poles = poles((m, largest));
            for step in 0..=40 {
                let x = m * libm::pow(largest / m, f64::from(step) / 40.0);
                let sum: f64 = poles.iter().map(|p| p.weight * x / (x + p.shift)).sum();
                let root = x.sqrt();
                assert!((sum - root).abs() < 1e-11 * root, "{m} {largest} {x}: {sum} {root}");
            }
        }
    }
}
