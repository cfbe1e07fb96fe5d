//! The diagonal empirical Fisher information of a last layer, image by image.

#[cfg(test)]
mod tests;

use crate::graph::layer_gradient::{FittedLayer, Geometry};
use ndarray::ArrayViewD;

/// Features or gradients that do not fit the layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "features {features:?} and gradients {gradient:?} of {n} images do not fit the layer {layer}"
)]
pub struct FisherError {
    layer: String,
    features: Vec<usize>,
    gradient: Vec<usize>,
    n: usize,
}

/// `h = 1/2 sum_n g_n g_n`, element by element, with `g_n` the gradient of `sum (epsilon_hat - e)^2` of image `n` with respect
/// to the weights of the last layer.
///
/// # Why one half?
/// It is what `BayesDiff` fits: `g = 2 J^T r` for residuals `r`, so `h` is twice the `sum (J^T r)^2` of a unit-variance
/// Gaussian in textbooks.
#[derive(Clone, Debug, PartialEq)]
pub struct Fisher {
    /// One number a weight.
    pub weight: Vec<f64>,
    /// One number a bias, where there are some.
    pub bias: Option<Vec<f64>>,
    /// Images so far.
    pub n_images: u64,
}

impl Fisher {
    /// No image yet.
    pub fn of(fitted: &FittedLayer) -> Self {
        let layer = &fitted.layer;
        Self {
            weight: vec![0.0; layer.weight_shape.iter().product()],
            bias: layer.bias.as_ref().map(|_| vec![0.0; layer.bias_len]),
            n_images: 0,
        }
    }

    /// Adds the first `n` of the `n_fed` images whose features and gradients these are: each a whole number of rows.
    ///
    /// # Errors
    /// [`FisherError`] for arrays of another layer.
    pub fn add(
        &mut self,
        fitted: &FittedLayer,
        (features, gradient): (ArrayViewD<'_, f32>, ArrayViewD<'_, f32>),
        (n, n_fed): (usize, usize),
    ) -> Result<(), FisherError> {
        let wrong = || FisherError {
            layer: fitted.layer.node.clone(),
            features: features.shape().to_vec(),
            gradient: gradient.shape().to_vec(),
            n: n_fed,
        };
        let shape =
            Shape::of(fitted, (features.shape(), gradient.shape()), n_fed).ok_or_else(wrong)?;
        let (features, gradient) = (features.as_standard_layout(), gradient.as_standard_layout());
        let (f, g) =
            (features.as_slice().ok_or_else(wrong)?, gradient.as_slice().ok_or_else(wrong)?);
        let (of_f, of_g) = (f.len() / n_fed.max(1), g.len() / n_fed.max(1));
        let mut scratch = vec![0.0; self.weight.len()];
        let mut bias = vec![0.0; self.bias.as_ref().map_or(0, Vec::len)];
        for image in 0..n {
            let f = &f[image * of_f..(image + 1) * of_f];
            let g = &g[image * of_g..(image + 1) * of_g];
            shape.gradient((f, g), &mut scratch, &mut bias);
            add_half_squares(&mut self.weight, &scratch);
            if let Some(sum) = &mut self.bias {
                add_half_squares(sum, &bias);
            }
        }
        self.n_images += n as u64;
        Ok(())
    }
}

fn add_half_squares(sum: &mut [f64], g: &[f64]) {
    sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += 0.5 * g * g);
}

/// One image's arrays, read as the layer reads them.
enum Shape {
    Linear { inputs: usize, outputs: usize, transposed: bool, alpha: f64, beta: f64 },
    Convolution(Convolution),
}

struct Convolution {
    outputs: usize,
    of_group: usize,
    groups: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    pads: [usize; 2],
    dilations: [usize; 2],
    from: [usize; 2],
    to: [usize; 2],
}

impl Shape {
    fn of(
        fitted: &FittedLayer,
        (features, gradient): (&[usize], &[usize]),
        n: usize,
    ) -> Option<Self> {
        let weight = fitted.layer.weight_shape.as_slice();
        let bias = fitted.layer.bias_len;
        match fitted.geometry {
            Geometry::Linear { transposed, alpha, beta } => {
                let [a, b] = *weight else { return None };
                let (inputs, outputs) = if transposed { (b, a) } else { (a, b) };
                let (rows, f) = features.split_last().map(|(last, rows)| (rows, *last))?;
                let (same, g) = gradient.split_last().map(|(last, rows)| (rows, *last))?;
                let n_rows: usize = rows.iter().product();
                let fits =
                    f == inputs && g == outputs && rows == same && bias.is_multiple_of(outputs);
                (fits && n > 0 && n_rows.is_multiple_of(n)).then_some(Self::Linear {
                    inputs,
                    outputs,
                    transposed,
                    alpha: f64::from(alpha),
                    beta: f64::from(beta),
                })
            }
            Geometry::Convolution { strides, pads, dilations, groups } => {
                let [outputs, of_group, ky, kx] = *weight else { return None };
                let [fed, channels, y, x] = *features else { return None };
                let [out, g, to_y, to_x] = *gradient else { return None };
                let fits = fed == n && out == n && g == outputs && channels == of_group * groups;
                (fits && outputs.is_multiple_of(groups) && bias.is_multiple_of(outputs)).then_some(
                    Self::Convolution(Convolution {
                        outputs,
                        of_group,
                        groups,
                        kernel: [ky, kx],
                        strides,
                        pads,
                        dilations,
                        from: [y, x],
                        to: [to_y, to_x],
                    }),
                )
            }
        }
    }

    /// Gradient with respect to weights and bias of one image.
    fn gradient(&self, (f, g): (&[f32], &[f32]), weight: &mut [f64], bias: &mut [f64]) {
        match self {
            Self::Linear { inputs, outputs, transposed, alpha, beta } => {
                weight.fill(0.0);
                bias.fill(0.0);
                for (f, g) in f.chunks_exact(*inputs).zip(g.chunks_exact(*outputs)) {
                    for (o, g) in g.iter().enumerate() {
                        let g = f64::from(*g);
                        for (i, f) in f.iter().enumerate() {
                            let at = if *transposed { o * inputs + i } else { i * outputs + o };
                            weight[at] += alpha * g * f64::from(*f);
                        }
                        if let Some(bias) = bias.get_mut(o) {
                            *bias += beta * g;
                        }
                    }
                }
            }
            Self::Convolution(convolution) => {
                convolution.weight_gradient((f, g), weight);
                let plane = convolution.to[0] * convolution.to[1];
                for (bias, g) in bias.iter_mut().zip(g.chunks_exact(plane.max(1))) {
                    *bias = g.iter().map(|g| f64::from(*g)).sum();
                }
            }
        }
    }
}

impl Convolution {
    /// `dL/dW[o, i, ky, kx] = sum_{y, x} g[o, y, x] f[i, s y + d ky - p, s x + d kx - p]`.
    fn weight_gradient(&self, (f, g): (&[f32], &[f32]), weight: &mut [f64]) {
        let (plane_f, plane_g) = (self.from[0] * self.from[1], self.to[0] * self.to[1]);
        let mut at = 0;
        for o in 0..self.outputs {
            let g = &g[o * plane_g..(o + 1) * plane_g];
            let first = o / (self.outputs / self.groups) * self.of_group;
            for i in first..first + self.of_group {
                let f = &f[i * plane_f..(i + 1) * plane_f];
                for ky in 0..self.kernel[0] {
                    for kx in 0..self.kernel[1] {
                        weight[at] = self.at_offset((f, g), [ky, kx]);
                        at += 1;
                    }
                }
            }
        }
    }

    fn at_offset(&self, (f, g): (&[f32], &[f32]), k: [usize; 2]) -> f64 {
        let mut sum = 0.0;
        for y in 0..self.to[0] {
            let Some(row) = self.source(0, y, k[0]) else { continue };
            let f = &f[row * self.from[1]..(row + 1) * self.from[1]];
            let g = &g[y * self.to[1]..(y + 1) * self.to[1]];
            for (x, g) in g.iter().enumerate() {
                if let Some(column) = self.source(1, x, k[1]) {
                    sum += f64::from(*g) * f64::from(f[column]);
                }
            }
        }
        sum
    }

    /// Where output place `at` reads at kernel place `k`; `None` for padding.
    fn source(&self, axis: usize, at: usize, k: usize) -> Option<usize> {
        let place = at * self.strides[axis] + k * self.dilations[axis];
        place.checked_sub(self.pads[axis]).filter(|place| *place < self.from[axis])
    }
}
