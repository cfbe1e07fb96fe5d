//! `PyTorch`'s bilinear interpolation, to the bit.

use crate::simd::{Kernel, vectorised};

/// Two neighbours of each output position along one axis, and their weights.
#[derive(Debug, Clone)]
struct Axis {
    first: Vec<usize>,
    second: Vec<usize>,
    weight_first: Vec<f32>,
    weight_second: Vec<f32>,
}

impl Axis {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the position is a small non-negative number, cut to its floor on purpose"
    )]
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f32 / output as f32;
        let mut axis = Self {
            first: Vec::with_capacity(output),
            second: Vec::with_capacity(output),
            weight_first: Vec::with_capacity(output),
            weight_second: Vec::with_capacity(output),
        };
        for i in 0..output {
            // One rounding, as the fused multiply-add that PyTorch is compiled to.
            let position = scale.mul_add(i as f32 + 0.5, -0.5).max(0.0);
            let first = (position as usize).min(input - 1);
            let weight_second = (position - first as f32).clamp(0.0, 1.0);
            axis.first.push(first);
            axis.second.push((first + 1).min(input - 1));
            axis.weight_first.push(1.0 - weight_second);
            axis.weight_second.push(weight_second);
        }
        axis
    }
}

/// A resize between two fixed sizes with half-pixel centres, prepared once.
///
/// The order of operations is that of `PyTorch`'s CPU kernel for images of three channels: products of the two weights
/// rounded to f32, and the four taps summed by fused multiply-adds.
#[derive(Debug, Clone)]
pub(super) struct HalfPixelPlan {
    input_width: usize,
    columns: Axis,
    rows: Axis,
}

impl HalfPixelPlan {
    pub(super) fn new(from: (usize, usize), to: (usize, usize)) -> Self {
        Self {
            input_width: from.1,
            columns: Axis::new(from.1, to.1),
            rows: Axis::new(from.0, to.0),
        }
    }

    /// Resizes a row-major plane and maps each result by `finish`.
    pub(super) fn apply(
        &self,
        input: &[f32],
        output: &mut [f32],
        finish: impl Fn(f32) -> f32 + Copy,
    ) {
        vectorised(Apply { plan: self, input, output, finish });
    }
}

struct Apply<'a, F> {
    plan: &'a HalfPixelPlan,
    input: &'a [f32],
    output: &'a mut [f32],
    finish: F,
}

/// The two neighbours of each output column in one row of the input.
struct Neighbours {
    row: usize,
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Neighbours {
    fn none(width: usize) -> Self {
        Self { row: usize::MAX, left: vec![0.0; width], right: vec![0.0; width] }
    }

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn look_up(&mut self, row: usize, input: &[f32], plan: &HalfPixelPlan) {
        if self.row == row {
            return;
        }
        self.row = row;
        let line = &input[row * plan.input_width..][..plan.input_width];
        self.left.iter_mut().zip(&plan.columns.first).for_each(|(v, &x)| *v = line[x]);
        self.right.iter_mut().zip(&plan.columns.second).for_each(|(v, &x)| *v = line[x]);
    }
}

impl<F: Fn(f32) -> f32 + Copy> Kernel for Apply<'_, F> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let (plan, width) = (self.plan, self.plan.columns.first.len());
        let (mut upper, mut lower) = (Neighbours::none(width), Neighbours::none(width));
        let columns = (&plan.columns.weight_first[..width], &plan.columns.weight_second[..width]);
        for (y, out) in self.output.chunks_exact_mut(width).enumerate() {
            if lower.row == plan.rows.first[y] {
                std::mem::swap(&mut upper, &mut lower);
            }
            upper.look_up(plan.rows.first[y], self.input, plan);
            lower.look_up(plan.rows.second[y], self.input, plan);
            let (row_first, row_second) = (plan.rows.weight_first[y], plan.rows.weight_second[y]);
            let (a, b) = (&upper.left[..width], &upper.right[..width]);
            let (c, d) = (&lower.left[..width], &lower.right[..width]);
            for x in 0..width {
                let (first, second) = (columns.0[x], columns.1[x]);
                let top = a[x].mul_add(row_first * first, b[x] * (row_first * second));
                let left = c[x].mul_add(row_second * first, top);
                out[x] = (self.finish)(d[x].mul_add(row_second * second, left));
            }
        }
    }
}
