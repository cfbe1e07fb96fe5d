//! One element after another of states, over the cores.

use ndarray::{Array4, ArrayRef4};
use pulp::{Arch, Simd, WithSimd};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

/// Elements below which a second core is not worth the asking.
const MANY: usize = 1 << 15;

/// `f` of every two elements of arrays `[b, c, h, w]` of one shape.
///
/// # Why plain slices?
/// A loop over slices compiles to vector instructions, and states are walked through at every step of every trajectory: while a
/// device waits for the host, this is what it waits for.
pub(super) fn of_both(
    x: &ArrayRef4<f32>,
    y: &ArrayRef4<f32>,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> Array4<f32> {
    let (x, y) = (x.view(), y.view());
    let (x, y) = (x.as_standard_layout(), y.as_standard_layout());
    let mut out = Array4::zeros(x.raw_dim());
    let (x, y) = (x.as_slice().unwrap_or_default(), y.as_slice().unwrap_or_default());
    let elements = out.as_slice_mut().unwrap_or_default();
    elements.par_chunks_mut(MANY).enumerate().for_each(|(chunk, out)| {
        let range = chunk * MANY..chunk * MANY + out.len();
        Arch::new().dispatch(Both { x: &x[range.clone()], y: &y[range], out, f: &f });
    });
    out
}

/// Some elements, by the widest instructions of the processor at hand. No operation is fused, so the bits are the same by all.
struct Both<'a, F> {
    x: &'a [f32],
    y: &'a [f32],
    out: &'a mut [f32],
    f: &'a F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for Both<'_, F> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined is compiled for the wider instructions"
    )]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for ((out, x), y) in self.out.iter_mut().zip(self.x).zip(self.y) {
            *out = (self.f)(*x, *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_elements_meets_in_any_layout_over_several_chunks() {
        let n = 2 * MANY / 16 + 3;
        let x =
            Array4::from_shape_fn((n, 2, 4, 2), |(b, c, h, w)| (b * 16 + c * 8 + h * 2 + w) as f32);
        let y = x.mapv(|x| 0.5 * x);
        let sum = of_both(&x, &y, |x, y| x - y);
        assert_eq!(sum, y);
        let turned = |a: &Array4<f32>| a.view().permuted_axes([0, 2, 3, 1]).to_owned();
        assert_eq!(of_both(&turned(&x), &turned(&y), |x, y| x - y), turned(&y));
    }
}
