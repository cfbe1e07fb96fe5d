//! The FID Inception network as ONNX, from the tensors of its `TorchScript` archive.
//!
//! The network of 2015-12-05 whose 2,048 `pool3` features the Fréchet inception distance is defined on. It differs from the
//! usual Inception-v3 in two places: 3x3 mean pools leave the padding out of the mean, and the last block pools by the
//! maximum. Input `images`, f32 `[batch, 3, 299, 299]`, resized and scaled; output `pool3`, f32 `[batch, 2048]`.
//!
//! Batch normalisation (no gamma, eps 1e-3) is folded into the convolutions in f64. Every byte follows from the weights:
//! the hash in the list of pins was taken of what another program, in Python, had built.

use std::collections::BTreeMap;

use super::network::{Network, Norm, list, port, whole};
use super::torchscript::Tensor;
use super::wire::Message;

const PREFIX: &str = "net.layers.";

type Tensors = BTreeMap<String, Tensor>;
type Built<T = String> = Result<T, String>;

/// The network over the archive's tensors.
///
/// # Errors
/// A text that names a tensor which is missing, has another shape, or is left over.
pub(super) fn build(tensors: &Tensors) -> Built<Vec<u8>> {
    let mut graph = Graph { tensors, network: Network::default() };
    let last = trunk(&mut graph, "images")?;
    graph.node("GlobalAveragePool", &[&last], "pool3.mean", Vec::new());
    graph.node("Flatten", &["pool3.mean"], "pool3", vec![whole("axis", 1)]);
    // Four tensors a convolution become two.
    let (have, used) = (tensors.len(), 2 * graph.network.n_weights());
    if have != used {
        return Err(format!("the weight file has {have} tensors, the network uses {used}"));
    }
    let ports = [port("images", &[3, 299, 299]), port("pool3", &[2048])];
    Ok(graph.network.finish("fid_inception_pool3", &ports))
}

/// Grows the list of nodes; every method gives the name of the value that it made. Shapes are NCHW.
struct Graph<'a> {
    tensors: &'a Tensors,
    network: Network,
}

/// Stride and padding (height, width) of a convolution.
#[derive(Clone, Copy)]
struct Walk(u64, (u64, u64));

const PLAIN: Walk = Walk(1, (0, 0));
const HALVE: Walk = Walk(2, (0, 0));
const SAME: Walk = Walk(1, (1, 1));
const WIDE: Walk = Walk(1, (0, 3));
const TALL: Walk = Walk(1, (3, 0));

impl Graph<'_> {
    /// Convolution, batch normalisation and `ReLU`: `y = max(0, (w * x - mean) / sqrt(var + eps) + beta)`.
    fn conv(&mut self, x: &str, name: &str, walk: Walk) -> Built {
        let part = |part: &str| {
            let path = format!("{PREFIX}{name}.{part}");
            self.tensors.get(&path).ok_or_else(|| format!("the weight file lacks {path}"))
        };
        let weight = part("weight")?;
        let norm =
            Norm { gamma: None, beta: part("beta")?, mean: part("mean")?, var: part("var")? };
        let kernel = self.network.folded(name, weight, &norm)?;
        let Walk(stride, (rows, columns)) = walk;
        let attributes = vec![
            list("kernel_shape", &kernel),
            list("pads", &[rows, columns, rows, columns]),
            list("strides", &[stride, stride]),
        ];
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let sum = self.node("Conv", &[x, &weight, &bias], &format!("{name}.conv"), attributes);
        Ok(self.node("Relu", &[&sum], &format!("{name}.relu"), Vec::new()))
    }

    /// Convolutions one after the other.
    fn convs(&mut self, x: &str, steps: &[(String, Walk)]) -> Built {
        steps.iter().try_fold(x.to_owned(), |x, (name, walk)| self.conv(&x, name, *walk))
    }

    /// 3x3 maximum.
    fn max_pool(&mut self, x: &str, name: &str, stride: u64, padding: u64) -> String {
        let attributes = vec![
            list("kernel_shape", &[3, 3]),
            list("pads", &[padding; 4]),
            list("strides", &[stride; 2]),
        ];
        self.node("MaxPool", &[x], name, attributes)
    }

    /// 3x3 mean over the pixels that exist: the padding does not count.
    fn mean_pool(&mut self, x: &str, name: &str) -> String {
        let attributes = vec![
            whole("count_include_pad", 0),
            list("kernel_shape", &[3, 3]),
            list("pads", &[1; 4]),
            list("strides", &[1; 2]),
        ];
        self.node("AveragePool", &[x], name, attributes)
    }

    /// Joins along the channels.
    fn concat(&mut self, parts: &[String], block: &str) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Concat", &parts, &format!("{block}.concat"), vec![whole("axis", 1)])
    }

    fn node(&mut self, kind: &str, inputs: &[&str], output: &str, has: Vec<Message>) -> String {
        self.network.node(kind, inputs, output, &has)
    }
}

fn trunk(g: &mut Graph<'_>, x: &str) -> Built {
    let x = g.conv(x, "conv", HALVE)?;
    let x = g.convs(&x, &[("conv_1".to_owned(), PLAIN), ("conv_2".to_owned(), SAME)])?;
    let x = g.max_pool(&x, "pool0", 2, 0);
    let x = g.convs(&x, &[("conv_3".to_owned(), PLAIN), ("conv_4".to_owned(), PLAIN)])?;
    let mut x = g.max_pool(&x, "pool1", 2, 0);
    for block in ["mixed", "mixed_1", "mixed_2"] {
        x = block_35(g, &x, block)?;
    }
    x = block_35_to_17(g, &x, "mixed_3")?;
    for block in ["mixed_4", "mixed_5", "mixed_6", "mixed_7"] {
        x = block_17(g, &x, block)?;
    }
    x = block_17_to_8(g, &x, "mixed_8")?;
    let pooled = g.mean_pool(&x, "mixed_9.pool");
    x = block_8(g, &x, "mixed_9", &pooled)?;
    let pooled = g.max_pool(&x, "mixed_10.pool", 1, 1);
    block_8(g, &x, "mixed_10", &pooled)
}

/// `BLOCK.PART` for each part.
fn steps(block: &str, parts: &[(&str, Walk)]) -> Vec<(String, Walk)> {
    parts.iter().map(|(part, walk)| (format!("{block}.{part}"), *walk)).collect()
}

fn pooled_branch(g: &mut Graph<'_>, x: &str, block: &str) -> Built {
    let pooled = g.mean_pool(x, &format!("{block}.tower_2.pool"));
    g.conv(&pooled, &format!("{block}.tower_2.conv"), PLAIN)
}

/// 35x35: 1x1, 5x5, double 3x3 and pooled branches.
fn block_35(g: &mut Graph<'_>, x: &str, block: &str) -> Built {
    let five = [("tower.conv", PLAIN), ("tower.conv_1", Walk(1, (2, 2)))];
    let five = g.convs(x, &steps(block, &five))?;
    let three = [("tower_1.conv", PLAIN), ("tower_1.conv_1", SAME), ("tower_1.conv_2", SAME)];
    let three = g.convs(x, &steps(block, &three))?;
    let one = g.conv(x, &format!("{block}.conv"), PLAIN)?;
    let pooled = pooled_branch(g, x, block)?;
    Ok(g.concat(&[one, five, three, pooled], block))
}

fn block_35_to_17(g: &mut Graph<'_>, x: &str, block: &str) -> Built {
    let tower = [("tower.conv", PLAIN), ("tower.conv_1", SAME), ("tower.conv_2", HALVE)];
    let tower = g.convs(x, &steps(block, &tower))?;
    let pool = g.max_pool(x, &format!("{block}.pool"), 2, 0);
    let three = g.conv(x, &format!("{block}.conv"), HALVE)?;
    Ok(g.concat(&[three, tower, pool], block))
}

/// 17x17: factorised 7x7 branches.
fn block_17(g: &mut Graph<'_>, x: &str, block: &str) -> Built {
    let short = [("tower.conv", PLAIN), ("tower.conv_1", WIDE), ("tower.conv_2", TALL)];
    let short = g.convs(x, &steps(block, &short))?;
    let long = [
        ("tower_1.conv", PLAIN),
        ("tower_1.conv_1", TALL),
        ("tower_1.conv_2", WIDE),
        ("tower_1.conv_3", TALL),
        ("tower_1.conv_4", WIDE),
    ];
    let long = g.convs(x, &steps(block, &long))?;
    let one = g.conv(x, &format!("{block}.conv"), PLAIN)?;
    let pooled = pooled_branch(g, x, block)?;
    Ok(g.concat(&[one, short, long, pooled], block))
}

fn block_17_to_8(g: &mut Graph<'_>, x: &str, block: &str) -> Built {
    let short = g.convs(x, &steps(block, &[("tower.conv", PLAIN), ("tower.conv_1", HALVE)]))?;
    let long = [
        ("tower_1.conv", PLAIN),
        ("tower_1.conv_1", WIDE),
        ("tower_1.conv_2", TALL),
        ("tower_1.conv_3", HALVE),
    ];
    let long = g.convs(x, &steps(block, &long))?;
    let pool = g.max_pool(x, &format!("{block}.pool"), 2, 0);
    Ok(g.concat(&[short, long, pool], block))
}

/// 8x8: branches that fork into 1x3 and 3x1; `pooled` is x after the block's own pooling rule.
fn block_8(g: &mut Graph<'_>, x: &str, block: &str, pooled: &str) -> Built {
    let short = g.conv(x, &format!("{block}.tower_conv"), PLAIN)?;
    let long = g.convs(x, &steps(block, &[("tower_1_conv", PLAIN), ("tower_1_conv_1", SAME)]))?;
    let mut parts = vec![g.conv(x, &format!("{block}.conv"), PLAIN)?];
    for (tower, stem) in [("tower", short), ("tower_1", long)] {
        parts.push(g.conv(&stem, &format!("{block}.{tower}_mixed_conv"), Walk(1, (0, 1)))?);
        parts.push(g.conv(&stem, &format!("{block}.{tower}_mixed_conv_1"), Walk(1, (1, 0)))?);
    }
    parts.push(g.conv(pooled, &format!("{block}.tower_2_conv"), PLAIN)?);
    Ok(g.concat(&parts, block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_are_missing_or_do_not_fit_are_named() {
        let error = build(&Tensors::new()).unwrap_err();
        assert_eq!(error, "the weight file lacks net.layers.conv.weight");
        let part = |shape: &[usize]| Tensor {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        let mut tensors = Tensors::new();
        for (name, shape) in
            [("weight", &[2, 3, 3, 3][..]), ("beta", &[2]), ("mean", &[2]), ("var", &[3])]
        {
            tensors.insert(format!("{PREFIX}conv.{name}"), part(shape));
        }
        let error = build(&tensors).unwrap_err();
        assert_eq!(error, "conv has 2 filters, and [2, 2, 3] numbers for them");
    }
}
