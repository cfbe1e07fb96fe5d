//! A step of a sampler at which re-noised predictions are asked for, as one graph.

mod write;

#[cfg(test)]
mod tests;

use super::checks::{self, Interface, Names};
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::runner::Runner;
use super::shapes::Shapes;

/// Input: noise of the draws, f32 `[M, b, c, h, w]`.
pub const NOISE: &str = "step_noise";
/// Input: weight of the image in the state `x = a x_0 + s n`, one f64.
pub const A: &str = "step_a";
/// Input: weight of the noise in the state, one f64.
pub const S: &str = "step_s";
/// Input of [`Update::Ddim`]: weight of `x0_hat` in the next state, one f64.
pub const NEXT_A: &str = "step_next_a";
/// Input of [`Update::Ddim`]: weight of `epsilon_hat` in the next state, one f64.
pub const NEXT_S: &str = "step_next_s";
/// Input of [`Update::DpmSolverPp2m`]: weight of the state, one f64.
pub const KEEP: &str = "step_keep";
/// Input of [`Update::DpmSolverPp2m`]: weight of the data prediction, one f64.
pub const GAIN: &str = "step_gain";
/// Input of [`Update::DpmSolverPp2m`]: weight of the difference to the earlier prediction, one f64; 0 at a first-order step.
pub const WEIGHT: &str = "step_weight";
/// Input of [`Update::DpmSolverPp2m`]: `x0_hat` of the step before, f32, of the shape of `x`; any finite values where its
/// weight is 0.
pub const EARLIER: &str = "step_earlier";
/// Input of [`Prediction::Line`]: factor of the output, one f64.
pub const OF_OUTPUT: &str = "step_of_output";
/// Input of [`Prediction::Line`]: factor of the state, one f64.
pub const OF_X: &str = "step_of_x";

/// Output: `epsilon_hat` at the state.
pub const EPSILON: &str = "step_epsilon";
/// Output: `x0_hat` at the state, clipped where that is asked for.
pub const X0_HAT: &str = "step_x0_hat";
/// Output: unbiased variance of the predictions over the draws.
pub const VARIANCE: &str = "step_variance";
/// Output: mean square of the predictions about `epsilon_hat`.
pub const MEAN_SQUARE: &str = "step_mean_square";
/// Output: the state that the sampler moves to.
pub const NEXT: &str = "step_next";

/// How the state moves on, from `x0_hat` and `epsilon_hat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Update {
    /// `a' x0_hat + s' epsilon_hat` (Eq. 12, arXiv:2010.02502, without noise).
    Ddim,
    /// `keep x + gain (m + weight (m - earlier))` with `m = x0_hat` (Algorithm 2, arXiv:2211.01095).
    DpmSolverPp2m,
}

/// What the output of the network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prediction {
    /// `epsilon_hat` itself.
    #[default]
    Epsilon,
    /// `epsilon_hat = of_output output + of_x x`: predictions of `x_0`, `v`, score and velocity.
    Line,
}

/// Which step is made.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Input and output; found where there is one of each.
    pub names: Names<'a>,
    /// Draws a sample, the paper's `M`; 2 or more.
    pub n_draws: usize,
    /// What the output is.
    pub prediction: Prediction,
    /// Range that `x0_hat` is clipped to, for pixel models under DDIM.
    pub clip: Option<[f32; 2]>,
    /// How the state moves on.
    pub update: Update,
}

/// Makes one graph of a whole step: the network at states `x`, the sampler's update, `M` re-noised states of each, the network
/// at all of them over the same weights, and the statistics of its predictions, element by element.
///
/// ```text
/// x0_hat      = clip((x - s epsilon) / a)                            epsilon = epsilon_hat(x)
/// e_m         = epsilon_hat(a x0_hat + s n_m)                        n_m: input `step_noise`
/// variance    = 1/(M-1) sum_m (e_m - mean e)^2                       Algorithm 1, arXiv:2412.00205
/// mean_square = 1/M sum_m (e_m - epsilon)^2
/// next        = a' x0_hat + s' epsilon                               or the other [`Update`]
/// ```
///
/// Levels and coefficients are inputs, one f64 each, so one graph serves every step. All inputs and outputs of the network stay,
/// the batch stays dynamic, and the file grows by nodes alone. What follows no row of the batch (a time that all rows share,
/// and all that is made of it) is computed once.
///
/// # Why f64 between two calls, and draw after draw?
/// Values are widened, combined in the order above and rounded to f32 once each, sums run from the first draw to the last. So a
/// caller that does the same between separate calls gets the same bits, and may choose either by what is faster.
///
/// # Errors
/// [`GraphError::Interface`] where `n_draws` is below 2, the batch is fixed, the prediction has not the shape of `x`, or a value
/// has a name that this pass adds; [`GraphError::Node`] where a node works for one batch size alone.
///
/// # Examples
/// ```
/// use dubench_graph::step::{self, Prediction, Update};
/// use dubench_graph::{Feeds, GraphError, Model, Names, Runner, Source, Tensor};
///
/// /// Shapes of this network are inferred, so nobody is asked.
/// struct Nobody;
/// impl Runner for Nobody {
///     fn run(&self, _: Source<'_>, _: &[Feeds], _: &[String]) -> Result<Vec<Vec<Tensor>>, GraphError> {
///         unreachable!()
///     }
/// }
///
/// let forward = Model::read("tests/data/uvit_dynamo_20.onnx".as_ref())?;
/// let options = step::Options {
///     names: Names::default(),
///     n_draws: 5,
///     prediction: Prediction::Epsilon,
///     clip: Some([-1.0, 1.0]),
///     update: Update::Ddim,
/// };
/// let step = step::step(&forward, options, &Nobody)?;
/// assert_eq!(step.inputs().last().map(|port| port.name.clone()).as_deref(), Some("step_next_s"));
/// // The weights are there once.
/// assert!(step.to_bytes()?.len() < forward.to_bytes()?.len() * 3 / 2);
/// # Ok::<(), GraphError>(())
/// ```
pub fn step(model: &Model, options: Options<'_>, runner: &dyn Runner) -> Result<Model, GraphError> {
    if options.n_draws < 2 {
        return Err(model.interface_error(format!(
            "the variance of {} draw a sample is undefined: ask for 2 or more",
            options.n_draws
        )));
    }
    checks::supported(model)?;
    let interface: Interface = checks::interface(model, options.names)?;
    let mut model = fold(model.clone())?;
    let shapes = Shapes::of_batch(&model, &interface.x, runner)?;
    // The runtime infers them again; those that an exporter declared name the nodes of the first call alone.
    model.graph_mut().value_info.clear();
    write::Step::new(model, &shapes, interface, options)?.run()
}
