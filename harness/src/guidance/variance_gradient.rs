//! The uncertainty and its gradient, by vector-Jacobian products through the network.

use ndarray::{Array4, ArrayRef4, Axis, Zip, concatenate, s};

use crate::model::{Condition, MapAndGradient, ModelError, Network, NetworkInput};
use crate::noise::nearest_f32;
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::uncertainty::{
    CleanEstimate, Perturbation, StepContext, conditions_of, draws_of, epsilon_in_batches,
    in_batches, mean_over_draws, mean_square_about, perturbed_states, variance_over_draws,
};
use crate::units::NfeKind;

/// The uncertainty whose gradient guides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuidedStatistic {
    /// The paper's variance over draws (ddof 1).
    SampleVariance,
    /// The released code's mean square about `epsilon_t`.
    Centered,
}

/// `U` and the gradient of its sum over one image, each `[b, c, h, w]`.
#[derive(Clone, Debug)]
pub struct VarianceGradient {
    /// The map `U`.
    pub u: Array4<f32>,
    /// `d (sum U) / d epsilon_t` with `epsilon_t` a leaf and `x_t` constant.
    pub score: Array4<f64>,
    /// `d (sum U) / d x_hat` summed over draws: the part that reaches `x_t` directly.
    pub states: Array4<f64>,
}

/// `U_t` and `d (sum_{c,h,w} U_t) / d epsilon_t` for each image by itself.
///
/// `epsilon_t` reaches `U` by `x_hat^m = a_t x0_hat(epsilon_t) + s_t n_m`, whose derivative is `-s_t` (and 0 where
/// `x0_hat` is clipped). With `J_m` the Jacobian of the network at `x_hat^m`:
///
/// ```text
/// sample variance:  -s_t sum_m J_m^T 2 (e_m - mean e) / (M - 1)
/// centered:         2 (epsilon_t - mean e) - s_t sum_m J_m^T 2 (e_m - epsilon_t) / M
/// ```
///
/// Cost per image: M evaluations and M reverse passes in one run where the network has the fused graph
/// ([`crate::model::Denoiser::variance_gradient`]; the sample variance only); else M evaluations, then M vector-Jacobian
/// products, each with its own evaluation.
///
/// # Errors
/// [`ModelError::NotApplicable`] where the bundle has no gradient graph; [`ModelError`] of the network.
pub fn variance_gradient(
    context: &StepContext<'_>,
    network: &mut Network<'_>,
    (statistic, perturbation): (GuidedStatistic, Perturbation),
) -> Result<VarianceGradient, ModelError> {
    let b = context.x.shape()[0];
    let states = perturbed_states(context, perturbation);
    if statistic == GuidedStatistic::SampleVariance
        && let Some((u, pulled)) = fused(context, network, &states)?
    {
        let states = pulled.mapv(f64::from);
        let score = reach(context, perturbation.clean) * &states;
        return Ok(VarianceGradient { u, score, states });
    }
    let batching = (context.conditions, context.max_batch);
    let place = context.point.place();
    let stacked = epsilon_in_batches(network, NfeKind::Estimator, &states, place, batching)?;
    let draws = draws_of(&stacked, b);
    let mean = mean_over_draws(&draws);
    let epsilon = context.epsilon.mapv(f64::from);
    let m = f64::from(perturbation.n_draws);
    let (u, center, scale, direct) = match statistic {
        GuidedStatistic::SampleVariance => {
            (variance_over_draws(&draws), mean, 2.0 / (m - 1.0), None)
        }
        GuidedStatistic::Centered => {
            let direct = 2.0 * (&epsilon - &mean);
            (mean_square_about(&draws, &context.epsilon), epsilon, 2.0 / m, Some(direct))
        }
    };
    let cotangents = cotangents(&stacked, &center, scale);
    let pulled = pull_back(context, network, (&states, &cotangents))?;
    let states = summed_over_draws(&pulled, b);
    let mut score = reach(context, perturbation.clean) * &states;
    if let Some(direct) = direct {
        score += &direct;
    }
    Ok(VarianceGradient { u, score, states })
}

/// `U` and `d (sum U) / d x_hat` in one run, where the network offers it. `states` come draw after draw; the
/// fused graph takes them sample after sample.
fn fused(
    context: &StepContext<'_>,
    network: &mut Network<'_>,
    states: &ArrayRef4<f32>,
) -> Result<Option<MapAndGradient>, ModelError> {
    let b = context.x.shape()[0];
    let n_draws = states.shape()[0] / b.max(1);
    let Ok(draws) = u32::try_from(n_draws) else { return Ok(None) };
    let mut parts = Vec::new();
    let most = (context.max_batch.get() / n_draws.max(1)).max(1);
    for start in (0..b).step_by(most) {
        let rows: Vec<usize> = (start..b.min(start + most))
            .flat_map(|sample| (0..n_draws).map(move |draw| draw * b + sample))
            .collect();
        let x = states.select(Axis(0), &rows);
        let times = vec![context.point.place(); rows.len()];
        let classes = context
            .conditions
            .map(|y| rows.iter().map(|row| y[row % b]).collect::<Vec<Condition>>());
        let input = NetworkInput { x: x.view(), t: &times, y: classes.as_deref() };
        match network.variance_gradient(input, draws)? {
            Some(part) => parts.push(part),
            None => return Ok(None),
        }
    }
    let joined = |pick: fn(&MapAndGradient) -> &Array4<f32>| {
        let views: Vec<_> = parts.iter().map(|part| pick(part).view()).collect();
        concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
            context: "joining the answers of network calls".to_owned(),
            message: error.to_string(),
        })
    };
    Ok(Some((joined(|part| &part.0)?, joined(|part| &part.1)?)))
}

/// `d x_hat / d epsilon_t` of each element: `-s_t`, or 0 where `x0_hat` was clipped.
fn reach(context: &StepContext<'_>, clean: CleanEstimate) -> Array4<f64> {
    let s = context.point.s();
    if clean != CleanEstimate::FollowSampler {
        return Array4::from_elem(context.x.raw_dim(), -s);
    }
    let free = x0_from_epsilon(&context.point, &context.x, &context.epsilon, ClipX0::Never);
    Zip::from(&free)
        .and(context.x0_hat)
        .map_collect(|free, used| if free.to_bits() == used.to_bits() { -s } else { 0.0 })
}

/// `scale (e_m - center)`, draw after draw.
fn cotangents(stacked: &Array4<f32>, center: &Array4<f64>, scale: f64) -> Array4<f32> {
    let mut out = stacked.clone();
    let b = center.shape()[0];
    for start in (0..stacked.shape()[0]).step_by(b.max(1)) {
        let draw = out.slice_mut(s![start..start + b, .., .., ..]);
        Zip::from(draw)
            .and(center)
            .for_each(|e, center| *e = nearest_f32(scale * (f64::from(*e) - center)));
    }
    out
}

/// `J^T v` row by row, in calls of bounded size. Rows repeat the batch of `context`.
pub(super) fn pull_back(
    context: &StepContext<'_>,
    network: &mut Network<'_>,
    (x, cotangents): (&ArrayRef4<f32>, &ArrayRef4<f32>),
) -> Result<Array4<f32>, ModelError> {
    in_batches(x.shape()[0], context.max_batch, |rows| {
        let times = vec![context.point.place(); rows.len()];
        let classes = conditions_of(context.conditions, rows.clone());
        let part = x.slice(s![rows.clone(), .., .., ..]);
        let input = NetworkInput { x: part, t: &times, y: classes.as_deref() };
        let cotangent = cotangents.slice(s![rows, .., .., ..]);
        Ok(network.epsilon_vjp(NfeKind::Estimator, input, cotangent)?.1)
    })
}

fn summed_over_draws(stacked: &Array4<f32>, b: usize) -> Array4<f64> {
    let draws = draws_of(stacked, b);
    mean_over_draws(&draws) * draws.len() as f64
}
