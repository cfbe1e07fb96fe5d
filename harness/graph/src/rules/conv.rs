//! Convolutions, 1-D to 3-D, grouped, strided, dilated.

use super::super::edit::{int, ints};
use super::super::error::GraphError;
use super::super::proto::AttributeProto;
use super::super::reverse::{Call, ConvGradient, Gradients, Reverse};
use super::super::tensor::{Tensor, TensorData};
use super::{Rule, as_i64};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Conv" => Some(conv),
        "ConvTranspose" => Some(conv_transpose),
        _ => None,
    }
}

/// Geometry of a convolution over `n` spatial axes.
struct Geometry {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    pads: Vec<i64>,
    dilations: Vec<i64>,
    group: i64,
}

impl Geometry {
    fn of(r: &Reverse, call: &Call<'_>) -> Result<Self, GraphError> {
        if r.is_active(call.input(1)) {
            return Err(r.error(call, "its weights depend on the input, which has no rule"));
        }
        let weight = r.fixed_shape(call, call.input(1))?;
        let kernel = weight.get(2..).unwrap_or_default().to_vec();
        let n = kernel.len();
        let auto_pad = call.node.text_or("auto_pad", "NOTSET");
        let list = |name: &str, default: i64, count: usize| match call.node.ints_of(name) {
            Some(values) if values.len() == count => Ok(values.to_vec()),
            Some(values) => {
                Err(r.error(call, format!("{name} {values:?} does not fit {n} spatial axes")))
            }
            None => Ok(vec![default; count]),
        };
        if auto_pad != "NOTSET" && auto_pad != "VALID" {
            return Err(
                r.error(call, format!("auto_pad {auto_pad} has no rule: export explicit pads"))
            );
        }
        Ok(Self {
            strides: list("strides", 1, n)?,
            pads: list("pads", 0, 2 * n)?,
            dilations: list("dilations", 1, n)?,
            group: call.node.int_or("group", 1),
            kernel,
        })
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        vec![
            ints("kernel_shape", &self.kernel),
            ints("strides", &self.strides),
            ints("pads", &self.pads),
            ints("dilations", &self.dilations),
            int("group", self.group),
        ]
    }

    /// Pads of the stride-1 convolution with flipped weights; `None` where it is not one.
    fn flipped_pads(&self) -> Option<Vec<i64>> {
        let simple = self.group == 1 && self.strides.iter().chain(&self.dilations).all(|&v| v == 1);
        let n = self.kernel.len();
        let pads: Vec<i64> = (0..2 * n).map(|i| self.kernel[i % n] - 1 - self.pads[i]).collect();
        (simple && pads.iter().all(|&p| p >= 0)).then_some(pads)
    }
}

fn conv(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let geometry = Geometry::of(r, call)?;
    if r.conv == ConvGradient::FlippedConv
        && let Some(pads) = geometry.flipped_pads()
        && let Some(weight) = r.weight(call.input(1))?
        && let Some(flipped) = flipped(&weight)
    {
        let weight = r.editor.constant(&flipped);
        let attributes = vec![ints("kernel_shape", &geometry.kernel), ints("pads", &pads)];
        return Ok(vec![(0, r.op_with("Conv", &[call.g(), &weight], attributes))]);
    }
    let (x, y) = (spatial(r, call, call.input(0))?, spatial(r, call, call.y())?);
    let n = geometry.kernel.len();
    if x.len() != n || y.len() != n {
        return Err(
            r.error(call, format!("its weights have {n} spatial axes, its input {}", x.len()))
        );
    }
    // What a stride leaves over at the end: the transpose must be told to add it.
    let rest: Vec<i64> = (0..n)
        .map(|i| {
            let pads = geometry.pads[i] + geometry.pads[i + n];
            let reach = geometry.dilations[i] * (geometry.kernel[i] - 1) + 1;
            x[i] - ((y[i] - 1) * geometry.strides[i] - pads + reach)
        })
        .collect();
    let mut attributes = geometry.attributes();
    attributes.push(ints("output_padding", &rest));
    Ok(vec![(0, r.op_with("ConvTranspose", &[call.g(), call.input(1)], attributes))])
}

/// The forward convolution with the same weights and geometry.
fn conv_transpose(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let geometry = Geometry::of(r, call)?;
    if call.node.find("output_shape").is_some() {
        return Err(r.error(call, "output_shape has no rule: export explicit pads"));
    }
    Ok(vec![(0, r.op_with("Conv", &[call.g(), call.input(1)], geometry.attributes()))])
}

/// Lengths of the axes behind batch and channels.
fn spatial(r: &Reverse, call: &Call<'_>, name: &str) -> Result<Vec<i64>, GraphError> {
    let dims = r.shape(call, name)?;
    let lengths: Option<Vec<i64>> =
        dims.iter().skip(2).map(|&d| super::super::reverse::length(d)).collect();
    lengths.ok_or_else(|| {
        r.error(call, format!("{name} has axes {dims:?}, expected fixed heights and widths"))
    })
}

/// Weights `[out, in, k..]` as `[in, out, k..]` with every kernel axis reversed.
fn flipped(weight: &Tensor) -> Option<Tensor> {
    let (shape, values) = (weight.shape(), weight.as_f32()?);
    let (&[n_out, n_in], kernel) = (shape.first_chunk::<2>()?, shape.get(2..)?);
    let taps: usize = kernel.iter().product();
    let mut out = Vec::with_capacity(values.len());
    for i in 0..n_in {
        for o in 0..n_out {
            let start = (o * n_in + i) * taps;
            out.extend(values[start..start + taps].iter().rev());
        }
    }
    let shape = [&[n_in, n_out], kernel].concat();
    Tensor::new(shape, TensorData::F32(out))
}

/// `k` ones a channel: the kernel of a mean, `[channels, 1, k..]`.
pub(crate) fn mean_kernel(channels: usize, kernel: &[i64]) -> Option<Tensor> {
    let taps: i64 = kernel.iter().product();
    let count = channels.checked_mul(usize::try_from(taps).ok()?)?;
    let mut shape = vec![channels, 1];
    shape.extend(kernel.iter().filter_map(|&k| usize::try_from(k).ok()));
    let weight = 1.0 / taps as f32;
    debug_assert_eq!(as_i64(shape.len()), as_i64(kernel.len()) + 2);
    Tensor::new(shape, TensorData::F32(vec![weight; count]))
}

#[cfg(test)]
mod tests {
    use super::flipped;
    use crate::edit::{int, ints, text};
    use crate::reverse::ConvGradient;
    use crate::rules::testing::{check, check_with, refused};
    use crate::tensor::{Tensor, TensorData};
    use crate::testing::GraphUnderTest;

    fn both(make: impl Fn() -> GraphUnderTest) {
        check_with(make(), ConvGradient::ConvTranspose);
        check_with(make(), ConvGradient::FlippedConv);
    }

    #[test]
    fn padded_convolutions_with_bias() {
        both(|| {
            let g = GraphUnderTest::new(&[3, 5, 6]).random("w", &[4, 3, 3, 3]).random("b", &[4]);
            g.node("Conv", &["x", "w", "b"], &["y"], vec![ints("pads", &[1, 1, 1, 1])])
        });
    }

    #[test]
    fn uneven_pads_and_kernels() {
        both(|| {
            let g = GraphUnderTest::new(&[2, 5, 6]).random("w", &[3, 2, 3, 2]);
            g.node("Conv", &["x", "w"], &["y"], vec![ints("pads", &[0, 1, 2, 0])])
        });
    }

    #[test]
    fn strides_that_leave_a_rest() {
        for size in [6, 7] {
            both(|| {
                let g = GraphUnderTest::new(&[2, size, 5]).random("w", &[3, 2, 3, 3]);
                let attributes = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
                g.node("Conv", &["x", "w"], &["y"], attributes)
            });
        }
    }

    #[test]
    fn groups_dilations_and_one_dimension() {
        both(|| {
            let g = GraphUnderTest::new(&[4, 6, 6]).random("w", &[4, 2, 3, 3]);
            let attributes = vec![int("group", 2), ints("dilations", &[2, 1])];
            g.node("Conv", &["x", "w"], &["y"], attributes)
        });
        both(|| {
            let g = GraphUnderTest::new(&[4, 6]).random("w", &[3, 4, 1]);
            g.node("Conv", &["x", "w"], &["y"], vec![])
        });
    }

    #[test]
    fn patches_as_vision_transformers_cut_them() {
        both(|| {
            let g = GraphUnderTest::new(&[3, 4, 4]).random("w", &[5, 3, 2, 2]);
            g.node("Conv", &["x", "w"], &["y"], vec![ints("strides", &[2, 2])])
        });
    }

    #[test]
    fn transposed_convolutions() {
        let g = GraphUnderTest::new(&[3, 4, 4]).random("w", &[3, 2, 4, 4]);
        let attributes = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
        check(g.node("ConvTranspose", &["x", "w"], &["y"], attributes));
        let g = GraphUnderTest::new(&[3, 4, 4]).random("w", &[3, 2, 3, 3]);
        let attributes = vec![ints("strides", &[2, 2]), ints("output_padding", &[1, 0])];
        check(g.node("ConvTranspose", &["x", "w"], &["y"], attributes));
    }

    #[test]
    fn automatic_pads_are_refused() {
        let g = GraphUnderTest::new(&[3, 4, 4]).random("w", &[3, 3, 3, 3]);
        let message =
            refused(g.node("Conv", &["x", "w"], &["y"], vec![text("auto_pad", "SAME_UPPER")]));
        assert!(message.contains("auto_pad SAME_UPPER has no rule"), "{message}");
    }

    #[test]
    fn flipping_twice_gives_the_weights_back() {
        let w = Tensor::new(vec![2, 3, 2, 2], TensorData::F32((0..24u8).map(f32::from).collect()))
            .unwrap();
        assert_ne!(flipped(&w).unwrap(), w);
        assert_eq!(flipped(&flipped(&w).unwrap()).unwrap(), w);
    }
}
