//! Images to network input, in the convention of `pytorch-fid`.

use ndarray::{Array4, ArrayView4, Axis};

/// Resizes u8 images `[b, 3, h, w]` to f32 `[b, 3, out, out]` in [-1, 1], as `pytorch-fid` does:
/// `x / 255`, half-pixel bilinear without antialiasing, `2 x - 1`.
///
/// The order of operations is that of `PyTorch`'s CPU kernel for three channels, so that values are
/// equal bit for bit: source index by one fused multiply-add, products of the two weights rounded
/// to f32, and the four taps summed by fused multiply-adds.
pub fn pytorch_fid(images: &ArrayView4<'_, u8>, out: usize) -> Array4<f32> {
    let (b, c, h, w) = images.dim();
    let rows = taps(h, out);
    let columns = taps(w, out);
    let unit: Vec<f32> = (0..=255_u8).map(|v| f32::from(v) / 255.0).collect();
    let mut output = Array4::zeros((b, c, out, out));
    for (image, mut target) in images.outer_iter().zip(output.outer_iter_mut()) {
        for (plane, mut target) in image.outer_iter().zip(target.outer_iter_mut()) {
            let source = plane.mapv(|v| unit[usize::from(v)]);
            for (mut line, row) in target.axis_iter_mut(Axis(0)).zip(&rows) {
                let (upper, lower) = (source.row(row.first), source.row(row.second));
                for (value, column) in line.iter_mut().zip(&columns) {
                    let x = blend(
                        [upper[column.first], upper[column.second]],
                        [lower[column.first], lower[column.second]],
                        (row, column),
                    );
                    *value = 2.0 * x - 1.0;
                }
            }
        }
    }
    output
}

/// Two neighbours of an output position and their weights.
struct Tap {
    first: usize,
    second: usize,
    weight_first: f32,
    weight_second: f32,
}

fn taps(n_in: usize, n_out: usize) -> Vec<Tap> {
    let scale = n_in as f32 / n_out as f32;
    (0..n_out)
        .map(|index| {
            let position = scale.mul_add(index as f32 + 0.5, -0.5).max(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the position is a small non-negative number, cut to its floor on purpose"
            )]
            let first = (position as usize).min(n_in - 1);
            let weight_second = (position - first as f32).clamp(0.0, 1.0);
            Tap {
                first,
                second: (first + 1).min(n_in - 1),
                weight_first: 1.0 - weight_second,
                weight_second,
            }
        })
        .collect()
}

fn blend(upper: [f32; 2], lower: [f32; 2], (row, column): (&Tap, &Tap)) -> f32 {
    let w00 = row.weight_first * column.weight_first;
    let w01 = row.weight_first * column.weight_second;
    let w10 = row.weight_second * column.weight_first;
    let w11 = row.weight_second * column.weight_second;
    let top = upper[0].mul_add(w00, upper[1] * w01);
    lower[1].mul_add(w11, lower[0].mul_add(w10, top))
}

#[cfg(test)]
mod tests {
    use super::pytorch_fid;
    use ndarray::Array4;

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        n: usize,
        height: usize,
        width: usize,
        size: usize,
        bits: Vec<u32>,
    }

    /// Golden values: `scripts/golden/pytorch_fid_resize.py`, torch 2.15.0.
    #[test]
    fn values_are_those_of_pytorch_bit_for_bit() {
        let text = include_str!("../../../tests/data/pytorch_fid_resize.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert_eq!(golden.cases.len(), 3);
        for case in golden.cases {
            let n = case.n * 3 * case.height * case.width;
            let pixels = (0..n).map(|i| u8::try_from((37 * i + i * i) % 256).unwrap()).collect();
            let shape = (case.n, 3, case.height, case.width);
            let images = Array4::from_shape_vec(shape, pixels).unwrap();
            let got = pytorch_fid(&images.view(), case.size);
            let bits: Vec<u32> = got.iter().map(|value| value.to_bits()).collect();
            assert_eq!(bits, case.bits, "{} x {} to {}", case.height, case.width, case.size);
        }
    }
}
