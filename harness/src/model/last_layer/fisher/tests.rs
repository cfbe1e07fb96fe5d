//! Gradients of layers against differences of the layer.

use crate::graph::last_layer::LastLayer;
use ndarray::{ArrayD, IxDyn};

use super::*;

fn fitted(shape: &[usize], bias_len: usize, geometry: Geometry) -> FittedLayer {
    let layer = LastLayer {
        node: "last".into(),
        op: "Conv".into(),
        input: "f".into(),
        weight: "w".into(),
        weight_shape: shape.to_vec(),
        bias: (bias_len > 0).then(|| "b".into()),
        bias_len,
    };
    FittedLayer { layer, geometry }
}

fn values(shape: &[usize], seed: usize) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let wave = |i: usize| (((i + 1) * (seed + 3)) as f32 * 0.7).sin();
    ArrayD::from_shape_vec(IxDyn(shape), (0..n).map(wave).collect()).unwrap()
}

/// Differences of `sum g z(w)`, which is linear in the weights: exact but for rounding.
#[test]
fn gradients_of_convolutions_are_differences_of_the_layer() {
    for (strides, pads, dilations, groups, to) in [
        ([1, 1], [1, 1], [1, 1], 1, [5, 6]),
        ([2, 1], [0, 1], [1, 2], 1, [2, 4]),
        ([1, 1], [1, 1], [1, 1], 2, [5, 6]),
    ] {
        let (channels, outputs, from) = (4, 2, [5, 6]);
        let shape = [outputs, channels / groups, 3, 3];
        let geometry = Geometry::Convolution { strides, pads, dilations, groups };
        let fitted = fitted(&shape, outputs, geometry);
        let f = values(&[1, channels, from[0], from[1]], 1);
        let g = values(&[1, outputs, to[0], to[1]], 2);
        let mut fisher = Fisher::of(&fitted);
        fisher.add(&fitted, (f.view(), g.view()), (1, 1)).unwrap();
        let mut at = 0;
        for o in 0..outputs {
            for i in 0..channels / groups {
                for (ky, kx) in (0..9).map(|k| (k / 3, k % 3)) {
                    let channel = o / (outputs / groups) * (channels / groups) + i;
                    let mut expected = 0.0;
                    for (y, x) in (0..to[0] * to[1]).map(|p| (p / to[1], p % to[1])) {
                        let row = (y * strides[0] + ky * dilations[0]).wrapping_sub(pads[0]);
                        let column = (x * strides[1] + kx * dilations[1]).wrapping_sub(pads[1]);
                        if row < from[0] && column < from[1] {
                            expected += f64::from(g[[0, o, y, x]])
                                * f64::from(f[[0, channel, row, column]]);
                        }
                    }
                    assert!((fisher.weight[at] - 0.5 * expected * expected).abs() < 1e-9);
                    at += 1;
                }
            }
            let sum: f64 =
                g.iter().skip(o * to[0] * to[1]).take(to[0] * to[1]).map(|g| f64::from(*g)).sum();
            assert!((fisher.bias.as_ref().unwrap()[o] - 0.5 * sum * sum).abs() < 1e-9);
        }
    }
}

#[test]
fn images_add_up_and_repeated_rows_do_not_count() {
    let geometry = Geometry::Linear { transposed: true, alpha: 0.5, beta: 2.0 };
    let fitted = fitted(&[2, 3], 2, geometry);
    let (f, g) = (values(&[3, 4, 3], 1), values(&[3, 4, 2], 2));
    let mut together = Fisher::of(&fitted);
    together.add(&fitted, (f.view(), g.view()), (2, 3)).unwrap();
    assert_eq!(together.n_images, 2);
    for (o, i) in (0..6).map(|k| (k / 3, k % 3)) {
        let of = |n: usize| -> f64 {
            (0..4).map(|r| f64::from(f[[n, r, i]]) * f64::from(g[[n, r, o]])).sum::<f64>() * 0.5
        };
        let expected = 0.5 * (of(0).powi(2) + of(1).powi(2));
        assert!((together.weight[3 * o + i] - expected).abs() < 1e-12);
    }
    let of = |n: usize| -> f64 { (0..4).map(|r| f64::from(g[[n, r, 1]])).sum::<f64>() * 2.0 };
    let expected = 0.5 * (of(0).powi(2) + of(1).powi(2));
    assert!((together.bias.as_ref().unwrap()[1] - expected).abs() < 1e-12);
    let short = values(&[2, 4, 5], 1);
    let error = together.add(&fitted, (short.view(), g.view()), (2, 2)).unwrap_err().to_string();
    assert!(error.contains("[2, 4, 5]") && error.contains("layer last"), "{error}");
}
