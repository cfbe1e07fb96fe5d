//! EfficientNet-Lite0 as ONNX, from the tensors of its checkpoint.
//!
//! The network of Tan and Le (2019) without squeeze-and-excitation and with `ReLU6`, trained on ImageNet. Input `images`, f32
//! `[batch, 3, 224, 224]`, resized and scaled to `[-1, 1]`; output `pool`, f32 `[batch, 1280]`: the mean over the last grid,
//! in front of the classifier, which is left out.
//!
//! Padding is `TensorFlow`'s SAME: of an odd number of pixels, the larger half stands behind. Batch normalisation (eps 1e-3) is
//! folded into the convolutions in f64. Every byte follows from the weights: the hash in the list of pins was taken of what
//! another program, in Python, had built.

use std::collections::{BTreeMap, BTreeSet};

use super::network::{Network, Norm, list, port, whole};
use super::torchscript::Tensor;

const IMAGE_SIZE: usize = 224;
const N_FEATURES: u64 = 1280;
/// Blocks, kernel, stride of the first block, channels in, factor of expansion, channels out.
const STAGES: [[usize; 6]; 7] = [
    [1, 3, 1, 32, 1, 16],
    [2, 3, 2, 16, 6, 24],
    [2, 5, 2, 24, 6, 40],
    [3, 3, 2, 40, 6, 80],
    [3, 5, 1, 80, 6, 112],
    [4, 5, 2, 112, 6, 192],
    [1, 3, 1, 192, 6, 320],
];
/// The classifier, which features do not need.
const UNUSED: [&str; 2] = ["_fc.weight", "_fc.bias"];

type Tensors = BTreeMap<String, Tensor>;
type Built<T = String> = Result<T, String>;

/// The network over the checkpoint's tensors.
///
/// # Errors
/// A text that names a tensor which is missing, has another shape, or is left over.
pub(super) fn build(tensors: &Tensors) -> Built<Vec<u8>> {
    let mut graph = Graph { tensors, used: BTreeSet::new(), network: Network::default() };
    graph.network.constant("zero", 0.0);
    graph.network.constant("six", 6.0);
    let last = trunk(&mut graph, "images")?;
    graph.network.node("GlobalAveragePool", &[&last], "pool.mean", &[]);
    graph.network.node("Flatten", &["pool.mean"], "pool", &[whole("axis", 1)]);
    let needed = |name: &str| graph.used.contains(name) || UNUSED.contains(&name);
    let left: Vec<&String> = tensors.keys().filter(|name| !needed(name)).collect();
    if let Some(first) = left.first() {
        let n = left.len();
        return Err(format!(
            "the checkpoint has {n} tensors that the network does not use, {first} first"
        ));
    }
    let side = IMAGE_SIZE as u64;
    let ports = [port("images", &[3, side, side]), port("pool", &[N_FEATURES])];
    Ok(graph.network.finish("efficientnet_lite0_pool", &ports))
}

/// A convolution over square images; `side` is that of its input.
#[derive(Clone, Copy)]
struct Conv {
    n_in: usize,
    n_out: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Conv {
    /// 1x1.
    fn pointwise(n_in: usize, n_out: usize, side: usize) -> Self {
        Self { n_in, n_out, side, kernel: 1, stride: 1, groups: 1 }
    }

    fn weight_shape(&self) -> [usize; 4] {
        [self.n_out, self.n_in / self.groups, self.kernel, self.kernel]
    }

    /// Pixels before and behind.
    fn padding(&self) -> (u64, u64) {
        let covered = (self.side.div_ceil(self.stride) - 1) * self.stride + self.kernel;
        let missing = covered.saturating_sub(self.side);
        ((missing / 2) as u64, missing.div_ceil(2) as u64)
    }
}

/// Grows the network; every method gives the name of the value that it made. Shapes are NCHW.
struct Graph<'a> {
    tensors: &'a Tensors,
    used: BTreeSet<String>,
    network: Network,
}

impl<'a> Graph<'a> {
    /// Convolution and batch normalisation.
    fn conv(&mut self, x: &str, name: &str, norm: &str, conv: Conv) -> Built {
        let weight = self.take(&format!("{name}.weight"))?;
        if weight.shape != conv.weight_shape() {
            let (found, expected) = (&weight.shape, conv.weight_shape());
            return Err(format!("{name}.weight has shape {found:?}, expected {expected:?}"));
        }
        let norm = Norm {
            gamma: Some(self.take(&format!("{norm}.weight"))?),
            beta: self.take(&format!("{norm}.bias"))?,
            mean: self.take(&format!("{norm}.running_mean"))?,
            var: self.take(&format!("{norm}.running_var"))?,
        };
        let kernel = self.network.folded(name, weight, &norm)?;
        let (before, behind) = conv.padding();
        let attributes = [
            whole("group", conv.groups as u64),
            list("kernel_shape", &kernel),
            list("pads", &[before, before, behind, behind]),
            list("strides", &[conv.stride as u64; 2]),
        ];
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let inputs = [x, weight.as_str(), bias.as_str()];
        Ok(self.network.node("Conv", &inputs, &format!("{name}.out"), &attributes))
    }

    /// The same with `ReLU6` behind: `min(max(x, 0), 6)`.
    fn conv_relu6(&mut self, x: &str, name: &str, norm: &str, conv: Conv) -> Built {
        let y = self.conv(x, name, norm, conv)?;
        Ok(self.network.node("Clip", &[&y, "zero", "six"], &format!("{y}.relu6"), &[]))
    }

    fn take(&mut self, name: &str) -> Built<&'a Tensor> {
        self.used.insert(name.to_owned());
        self.tensors.get(name).ok_or_else(|| format!("the checkpoint lacks {name}"))
    }
}

/// Widens by 1x1, convolves channel by channel, narrows by 1x1; adds the input where it has the output's shape. `conv` is the
/// middle convolution with the block's own channels in and out.
fn block(g: &mut Graph<'_>, x: &str, name: &str, conv: Conv, factor: usize) -> Built {
    let Conv { n_in, n_out, side, stride, .. } = conv;
    let (wide, norm) = (n_in * factor, |n: u8| format!("{name}._bn{n}"));
    let mut y = x.to_owned();
    if factor > 1 {
        let widen = Conv::pointwise(n_in, wide, side);
        y = g.conv_relu6(&y, &format!("{name}._expand_conv"), &norm(0), widen)?;
    }
    let depthwise = Conv { n_in: wide, n_out: wide, groups: wide, ..conv };
    y = g.conv_relu6(&y, &format!("{name}._depthwise_conv"), &norm(1), depthwise)?;
    let narrow = Conv::pointwise(wide, n_out, side.div_ceil(stride));
    y = g.conv(&y, &format!("{name}._project_conv"), &norm(2), narrow)?;
    if stride == 1 && n_in == n_out {
        y = g.network.node("Add", &[&y, x], &format!("{name}.sum"), &[]);
    }
    Ok(y)
}

fn trunk(g: &mut Graph<'_>, x: &str) -> Built {
    let stem = Conv { n_in: 3, n_out: 32, side: IMAGE_SIZE, kernel: 3, stride: 2, groups: 1 };
    let mut x = g.conv_relu6(x, "_conv_stem", "_bn0", stem)?;
    let (mut side, mut index) = (IMAGE_SIZE / 2, 0);
    for [n_blocks, kernel, first_stride, first_n_in, factor, n_out] in STAGES {
        for at in 0..n_blocks {
            let (stride, n_in) = if at == 0 { (first_stride, first_n_in) } else { (1, n_out) };
            let conv = Conv { n_in, n_out, side, kernel, stride, groups: 1 };
            x = block(g, &x, &format!("_blocks.{index}"), conv, factor)?;
            (side, index) = (side.div_ceil(stride), index + 1);
        }
    }
    g.conv_relu6(&x, "_conv_head", "_bn1", Conv::pointwise(320, 1280, side))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(tensors: &mut Tensors, conv: &str, norm: &str, shape: [usize; 4]) {
        let part = |shape: &[usize]| Tensor {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        tensors.insert(format!("{conv}.weight"), part(&shape));
        for name in ["weight", "bias", "running_mean", "running_var"] {
            tensors.insert(format!("{norm}.{name}"), part(&shape[..1]));
        }
    }

    /// A checkpoint of the shapes of the table, with the classifier.
    fn checkpoint() -> Tensors {
        let mut tensors = Tensors::new();
        layer(&mut tensors, "_conv_stem", "_bn0", [32, 3, 3, 3]);
        let mut index = 0;
        for [n_blocks, kernel, _, n_in, factor, n_out] in STAGES {
            for at in 0..n_blocks {
                let narrow = if at == 0 { n_in } else { n_out };
                let (wide, name) = (narrow * factor, format!("_blocks.{index}"));
                let mut part = |conv: &str, norm: &str, shape| {
                    layer(
                        &mut tensors,
                        &format!("{name}.{conv}"),
                        &format!("{name}.{norm}"),
                        shape,
                    );
                };
                if factor > 1 {
                    part("_expand_conv", "_bn0", [wide, narrow, 1, 1]);
                }
                part("_depthwise_conv", "_bn1", [wide, 1, kernel, kernel]);
                part("_project_conv", "_bn2", [n_out, wide, 1, 1]);
                index += 1;
            }
        }
        layer(&mut tensors, "_conv_head", "_bn1", [1280, 320, 1, 1]);
        tensors.insert("_fc.bias".to_owned(), Tensor { shape: vec![1], values: vec![1.0] });
        tensors
    }

    #[test]
    fn it_has_the_parameters_that_its_authors_count() {
        let tensors = checkpoint();
        let n: usize = tensors.values().map(|tensor| tensor.values.len()).sum();
        // 4,652,008 of Lite0 less the classifier's 1,281,000; means and variances are no parameters.
        let statistics: usize = tensors
            .iter()
            .filter(|(name, _)| name.contains(".running_"))
            .map(|(_, tensor)| tensor.values.len())
            .sum();
        assert_eq!(n - statistics - 1, 4_652_008 - 1_281_000);
        build(&tensors).unwrap();
    }

    #[test]
    fn a_checkpoint_of_another_network_is_refused_by_name() {
        let mut tensors = checkpoint();
        tensors.insert("_blocks.16._se_reduce.weight".to_owned(), tensors["_fc.bias"].clone());
        let error = build(&tensors).unwrap_err();
        assert!(
            error.ends_with(
                "1 tensors that the network does not use, _blocks.16._se_reduce.weight first"
            ),
            "{error}"
        );
        tensors.remove("_blocks.3._bn0.weight");
        assert_eq!(build(&tensors).unwrap_err(), "the checkpoint lacks _blocks.3._bn0.weight");
        layer(&mut tensors, "_blocks.0._depthwise_conv", "_blocks.0._bn1", [32, 1, 5, 5]);
        let error = build(&tensors).unwrap_err();
        assert_eq!(
            error,
            "_blocks.0._depthwise_conv.weight has shape [32, 1, 5, 5], expected [32, 1, 3, 3]"
        );
    }

    #[test]
    fn padding_is_that_of_same_with_the_larger_half_behind() {
        // TensorFlow's rule: at stride 2, 3x3 over an even side lacks one pixel, 5x5 three; over an odd side two and four.
        let pads = |side, kernel, stride| {
            Conv { n_in: 1, n_out: 1, side, kernel, stride, groups: 1 }.padding()
        };
        assert_eq!(
            [pads(224, 3, 2), pads(56, 5, 2), pads(7, 3, 2), pads(7, 5, 2)],
            [(0, 1), (1, 2), (1, 1), (2, 2)]
        );
        assert_eq!([pads(14, 5, 1), pads(14, 1, 1), pads(14, 1, 2)], [(2, 2), (0, 0), (0, 0)]);
    }
}
