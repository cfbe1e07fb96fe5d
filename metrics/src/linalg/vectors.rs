//! Dot products and reflectors of contiguous vectors, in eight lanes: the same bits with and without wide instructions.

#![expect(clippy::inline_always, reason = "see `simd::Kernel`")]

/// Independent sums, so that additions need not wait for each other.
const LANES: usize = 8;

/// `x . y`.
#[inline(always)]
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    let mut sums = [0.0; LANES];
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    rest + folded(sums)
}

/// `x += a y`.
#[inline(always)]
pub(crate) fn axpy(x: &mut [f64], a: f64, y: &[f64]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += a * y;
    }
}

/// `x += a y`, and the product of the new `x` with `z`.
#[inline(always)]
pub(crate) fn axpy_dot(x: &mut [f64], a: f64, y: &[f64], z: &[f64]) -> f64 {
    let n = x.len();
    let (y, z) = (&y[..n], &z[..n]);
    let mut sums = [0.0; LANES];
    let (mut ys, mut zs) = (y.chunks_exact(LANES), z.chunks_exact(LANES));
    let mut xs = x.chunks_exact_mut(LANES);
    for ((x, y), z) in xs.by_ref().zip(ys.by_ref()).zip(zs.by_ref()) {
        for lane in 0..LANES {
            x[lane] += a * y[lane];
            sums[lane] += x[lane] * z[lane];
        }
    }
    let mut rest = 0.0;
    for ((x, y), z) in xs.into_remainder().iter_mut().zip(ys.remainder()).zip(zs.remainder()) {
        *x += a * y;
        rest += *x * z;
    }
    rest + folded(sums)
}

#[inline(always)]
fn folded(sums: [f64; LANES]) -> f64 {
    let pairs = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
}

/// Turns `x` into the reflector `v` (its first entry is one) with `(1 - tau v v^T) x = (beta, 0, ..)`.
///
/// Returns `(tau, beta)`; `tau = 0` if there is nothing to clear.
#[inline(always)]
pub(crate) fn reflector(x: &mut [f64]) -> (f64, f64) {
    let Some((head, tail)) = x.split_first_mut() else { return (0.0, 0.0) };
    let alpha = std::mem::replace(head, 1.0);
    let squares = dot(tail, tail);
    if squares == 0.0 {
        return (0.0, alpha);
    }
    let beta = -(alpha * alpha + squares).sqrt().copysign(alpha);
    let inverse = 1.0 / (alpha - beta);
    tail.iter_mut().for_each(|v| *v *= inverse);
    ((beta - alpha) / beta, beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reflector_clears_all_but_the_first_entry() {
        for n in [1, 2, 5, 8, 19] {
            let x: Vec<f64> = (0..n).map(|i| 1.5 - 0.7 * f64::from(i)).collect();
            let mut v = x.clone();
            let (tau, beta) = reflector(&mut v);
            let scale = tau * dot(&v, &x);
            let mut image = x.clone();
            axpy(&mut image, -scale, &v);
            assert!((image[0] - beta).abs() < 1e-14 * beta.abs().max(1.0));
            assert!(image[1..].iter().all(|r| r.abs() < 1e-14), "{image:?}");
            let norm = dot(&x, &x).sqrt();
            assert!((beta.abs() - norm).abs() < 1e-14 * norm);
        }
    }

    #[test]
    fn the_fused_product_is_that_of_the_parts() {
        let at = |i: i32, k: f64| (k * f64::from(i) + 0.3).fract() - 0.5;
        let x: Vec<f64> = (0..21).map(|i| at(i, 0.37)).collect();
        let y: Vec<f64> = (0..21).map(|i| at(i, 0.61)).collect();
        let z: Vec<f64> = (0..21).map(|i| at(i, 0.83)).collect();
        let (mut fused, mut apart) = (x.clone(), x);
        let product = axpy_dot(&mut fused, -1.25, &y, &z);
        axpy(&mut apart, -1.25, &y);
        assert_eq!(fused, apart);
        assert!((product - apart.iter().zip(&z).map(|(a, b)| a * b).sum::<f64>()).abs() < 1e-14);
    }
}
