//! The variance of scores over perturbed inputs and its gradient, in one run.

use super::checks::{self, Interface, Names};
use super::dim::Dim;
use super::edit::int;
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::pull_back;
use super::reverse::{ConvGradient, Reverse, lengths};
use super::runner::Runner;
use super::tensor::ElementType;

/// Name of the added output: unbiased variance of each element over a sample's draws, `[b, c, h, w]`.
pub const VARIANCE: &str = "variance";
/// Name of the added output: gradient of the summed variance, `[b, c, h, w]`.
pub const GRADIENT: &str = "gradient";

/// What to differentiate, and over how many draws.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Input and output; found where there is one of each.
    pub names: Names<'a>,
    /// How gradients of convolutions are written.
    pub conv: ConvGradient,
    /// Draws a sample, the paper's `M`; 2 or more.
    pub n_draws: usize,
}

/// Adds the outputs `variance` and `gradient` to a graph that is fed `M` perturbed inputs a sample.
///
/// Rows `i M .. (i + 1) M` of `x` (and of times and labels) are the draws `x_1 .. x_M` of sample `i`,
/// `e_m = epsilon(x_m)`, and over the elements `p` of the prediction
///
/// ```text
/// variance = 1/(M-1) sum_m (e_m - mean e)^2           U = sum_p variance_p
/// gradient = dU/ds at x_m + s = 2/(M-1) sum_m J_m^T (e_m - mean e)
/// ```
///
/// With `x_m = x_t - s_t epsilon_t + s_t n_m`, `s_t = sqrt(1 - alpha_bar_t)`, the gradient of Eq. 10
/// (arXiv:2412.00205) is `dU/d epsilon_t = -s_t gradient`. The mean needs no term of its own: the
/// cotangents sum to zero. Learned variance channels (twice the channels of `x`) are left out.
///
/// Costs 2.7 `M` forward passes, where `M` forwards and then `M` [`super::vjp::vjp`] cost 3.7 `M`.
///
/// # Errors
/// As [`super::vjp::vjp`]; [`GraphError::Interface`] where `n_draws` is below 2 or the prediction has
/// not the shape of `x`.
pub fn variance_gradient(
    model: &Model,
    options: Options<'_>,
    runner: &dyn Runner,
) -> Result<Model, GraphError> {
    if options.n_draws < 2 {
        return Err(model.interface_error(format!(
            "the variance of {} draw a sample is undefined: ask for 2 or more",
            options.n_draws
        )));
    }
    checks::supported(model)?;
    let Interface { x, output: y } = checks::interface(model, options.names)?;
    let mut reverse = pull_back::prepare(
        fold(model.clone())?,
        &Interface { x: x.clone(), output: y.clone() },
        options.conv,
        runner,
    )?;
    reverse.editor.claim(VARIANCE)?;
    reverse.editor.claim(GRADIENT)?;
    let fused = Fused::new(&reverse, &x, &y, options.n_draws)?;
    let prediction = reverse.single(&y);
    let deviation = fused.deviation(&mut reverse, &prediction);
    fused.variance(&mut reverse, &deviation);
    let cotangent = fused.cotangent(&mut reverse, &deviation);
    let gradient = pull_back::pull_back(&mut reverse, &y, &cotangent, &x)?;
    fused.gradient(&mut reverse, &gradient);
    for name in [VARIANCE, GRADIENT] {
        reverse.editor.add_output(name, ElementType::F32, &fused.sample);
    }
    Ok(reverse.editor.finish())
}

/// Shapes of the pass.
struct Fused {
    /// Axes of one result: samples (fewer than the batch), then those of `x`.
    sample: Vec<Dim>,
    /// `[-1, M, c, h, w]`.
    by_draw: Vec<i64>,
    /// `[-1, c, h, w]`.
    flat: Vec<i64>,
    /// Channels of the prediction behind those of the noise.
    n_extra: i64,
    n_draws: i64,
}

impl Fused {
    fn new(reverse: &Reverse, x: &str, y: &str, n_draws: usize) -> Result<Self, GraphError> {
        let (x_dims, y_dims) = (reverse.dims(x)?, reverse.dims(y)?);
        let model = reverse.editor.model();
        let bad = || {
            model.interface_error(format!(
                "output {y} has axes {y_dims:?}, expected those of {x} ({x_dims:?}) or twice its channels"
            ))
        };
        let (Some(flat), Some(own), Some(all)) = (lengths(&x_dims), x_dims.get(1), y_dims.get(1))
        else {
            return Err(bad());
        };
        let (&Dim::Fixed(own), &Dim::Fixed(all)) = (own, all) else { return Err(bad()) };
        let rest_agrees = x_dims.get(2..) == y_dims.get(2..) && x_dims[0] == Dim::Batch(1);
        if !rest_agrees || y_dims[0] != x_dims[0] || (all != own && all != 2 * own) {
            return Err(bad());
        }
        let as_i64 = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let by_draw = [&[-1, as_i64(n_draws)], &flat[1..]].concat();
        let sample = std::iter::once(Dim::Other).chain(x_dims[1..].iter().copied()).collect();
        let n_extra = as_i64(all - own);
        Ok(Self { sample, by_draw, flat, n_extra, n_draws: as_i64(n_draws) })
    }

    /// `e_m - mean e`, `[b, M, c, h, w]`.
    fn deviation(&self, r: &mut Reverse, y: &str) -> String {
        let noise = if self.n_extra == 0 {
            y.to_owned()
        } else {
            let (start, end) = (r.editor.vector(&[0]), r.editor.vector(&[self.flat[1]]));
            let axis = r.editor.vector(&[1]);
            r.op("Slice", &[y, &start, &end, &axis])
        };
        let draws = r.reshaped(&noise, &self.by_draw);
        let mean = r.mean_over(&draws, &[1]);
        r.op("Sub", &[&draws, &mean])
    }

    fn variance(&self, r: &mut Reverse, deviation: &str) {
        let square = r.mul(deviation, deviation);
        let sum = sum_over_draws(r, &square);
        let factor = r.editor.scalar(1.0 / (self.n_draws - 1) as f32);
        r.editor.node_to("Mul", &[&sum, &factor], Vec::new(), VARIANCE);
    }

    /// The deviation as rows of the batch, zero on learned variance channels.
    fn cotangent(&self, r: &mut Reverse, deviation: &str) -> String {
        let rows = r.reshaped(deviation, &self.flat);
        if self.n_extra == 0 {
            return rows;
        }
        let mut pads = vec![0; 2 * self.flat.len()];
        pads[self.flat.len() + 1] = self.n_extra;
        let pads = r.editor.vector(&pads);
        r.op("Pad", &[&rows, &pads])
    }

    fn gradient(&self, r: &mut Reverse, gradient: &str) {
        let draws = r.reshaped(gradient, &self.by_draw);
        let sum = sum_over_draws(r, &draws);
        let factor = r.editor.scalar(2.0 / (self.n_draws - 1) as f32);
        r.editor.node_to("Mul", &[&sum, &factor], Vec::new(), GRADIENT);
    }
}

fn sum_over_draws(r: &mut Reverse, draws: &str) -> String {
    let axis = r.editor.vector(&[1]);
    r.op_with("ReduceSum", &[draws, &axis], vec![int("keepdims", 0)])
}

#[cfg(test)]
mod tests {
    use super::{Options, variance_gradient};
    use crate::golden::Golden;
    use crate::testing::{GraphUnderTest, relative_error, run, runner, values};
    use crate::{ConvGradient, Model, Names, Tensor, TensorData};

    fn fused(model: &Model, n_draws: usize) -> Result<Model, crate::GraphError> {
        let options = Options { names: Names::default(), conv: ConvGradient::default(), n_draws };
        variance_gradient(model, options, &runner())
    }

    #[test]
    fn variance_and_gradient_agree_with_autograd() {
        for name in ["ddpm_traced_17", "adm_dynamo_18", "uvit_dynamo_20"] {
            let golden = Golden::read(name);
            let derived = fused(&golden.model, 3).unwrap_or_else(|e| panic!("{e}"));
            let out =
                run(&derived, golden.feeds(&["sample", "timestep"]), &["variance", "gradient"]);
            for (got, array) in out.iter().zip(["variance", "gradient"]) {
                let expected = golden.array(array);
                assert_eq!(got.shape(), [1, 3, 8, 8]);
                let error = relative_error(values(got), values(&expected));
                println!("{name}: {array} {error:.1e}");
                assert!(error <= 1e-5, "{name}, {array}: {error}");
            }
        }
    }

    #[test]
    fn each_sample_has_its_own_draws() {
        // epsilon = 3 x: variance 9 var(x), gradient 0 (a common shift changes nothing).
        let graph = GraphUnderTest::new(&[1, 2, 1]).floats("k", &[], &[3.0]);
        let model = graph.node("Mul", &["x", "k"], &["y"], vec![]).model();
        let derived = fused(&model, 2).unwrap();
        let x = TensorData::F32(vec![1.0, 0.0, 3.0, 0.0, 5.0, 7.0, 5.0, 8.0]);
        let feeds = vec![("x".to_owned(), Tensor::new(vec![4, 1, 2, 1], x).unwrap())];
        let out = run(&derived, feeds, &["variance", "gradient"]);
        assert_eq!(values(&out[0]), [18.0, 0.0, 0.0, 4.5]);
        assert_eq!(values(&out[1]), [0.0; 4]);
    }

    #[test]
    fn one_draw_and_other_shapes_are_refused() {
        let graph = || GraphUnderTest::new(&[2, 2, 2]);
        let one = fused(&graph().node("Relu", &["x"], &["y"], vec![]).model(), 1);
        assert!(one.unwrap_err().to_string().contains("variance of 1 draw"));
        let flat = graph().ints("s", &[-1, 8]).node("Reshape", &["x", "s"], &["y"], vec![]);
        let text = fused(&flat.model(), 2).unwrap_err().to_string();
        assert!(
            text.contains("output y has axes") && text.contains("twice its channels"),
            "{text}"
        );
    }
}
