//! Normalisations.
//!
//! With `c = x - mean(x)` and `r = 1 / sqrt(mean(c^2) + epsilon)` over the normalised axes, `xhat = r c`
//! and `g` the gradient of `xhat`:
//!
//! `dx = r (g - mean(g) - c r^2 mean(g c))`
//!
//! Why not by `xhat`? Written so, six operations run over whole values instead of eight.

use super::super::dim::Dim;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse, length};
use super::{Rule, as_i64, axis};

/// Default of the `epsilon` attribute of all normalisations.
const EPSILON: f32 = 1e-5;

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "InstanceNormalization" => Some(instance),
        "LayerNormalization" => Some(layer),
        "GroupNormalization" => Some(group),
        "RMSNormalization" => Some(root_mean_square),
        "BatchNormalization" => Some(batch),
        _ => None,
    }
}

/// Gradient of `x`, of which `count` elements share a mean, from the gradient `g` of `xhat`.
fn of_normalized(r: &mut Reverse, x: &str, g: &str, over: &Normalized, epsilon: f32) -> String {
    let mean = r.mean_over(x, &over.axes);
    let centred = r.op("Sub", &[x, &mean]);
    let squares = r.sum_of_squares_over(&centred, &over.axes);
    let variance = r.scaled(&squares, 1.0 / over.count as f32);
    let floor = r.shifted(&variance, epsilon);
    let std = r.op("Sqrt", &[&floor]);
    let scale = r.op("Reciprocal", &[&std]);
    let g_mean = r.mean_over(g, &over.axes);
    let g_centred = r.op("Sub", &[g, &g_mean]);
    let product = r.mul(g, &centred);
    let slope = r.mean_over(&product, &over.axes);
    let slope = r.mul(&slope, &scale);
    let slope = r.mul(&slope, &scale);
    let along = r.mul(&centred, &slope);
    let rest = r.op("Sub", &[&g_centred, &along]);
    r.mul(&rest, &scale)
}

/// Axes that share a mean, and their elements.
struct Normalized {
    axes: Vec<i64>,
    count: i64,
}

impl Normalized {
    /// The axes of `dims` from `first` on.
    fn from(r: &Reverse, call: &Call<'_>, dims: &[Dim], first: usize) -> Result<Self, GraphError> {
        let normalized = dims.get(first..).unwrap_or_default();
        let count: Option<i64> = normalized.iter().map(|&d| length(d)).product();
        match count.filter(|&n| n > 0 && !normalized.is_empty()) {
            Some(count) => Ok(Self { axes: (first..dims.len()).map(as_i64).collect(), count }),
            None => Err(r.error(
                call,
                format!("it normalises axes {normalized:?} of {dims:?}, expected fixed lengths"),
            )),
        }
    }
}

fn refuse_active_scale(r: &Reverse, call: &Call<'_>) -> Result<(), GraphError> {
    if call.node.input.iter().skip(1).any(|name| r.is_active(name)) {
        return Err(r.error(call, "its scale or shift depends on the input, which has no rule"));
    }
    if call.grads.iter().skip(1).any(Option::is_some) {
        return Err(r.error(call, "its mean or deviation is used elsewhere, which has no rule"));
    }
    Ok(())
}

/// `g` times a scale a channel; nothing to do where the scale is one, as after exported group norms.
fn per_channel(r: &mut Reverse, g: &str, scale: &str, rank: usize) -> Result<String, GraphError> {
    let ones = r
        .weight(scale)?
        .and_then(|t| t.as_f32().map(|v| v.iter().all(|&s| s.to_bits() == 1.0f32.to_bits())));
    if ones == Some(true) {
        return Ok(g.to_owned());
    }
    let mut lengths = vec![-1];
    lengths.resize(rank.saturating_sub(1), 1);
    let scale = r.reshaped(scale, &lengths);
    Ok(r.mul(g, &scale))
}

/// Over the axes behind batch and channels.
fn instance(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_active_scale(r, call)?;
    let dims = r.shape(call, call.input(0))?;
    let over = Normalized::from(r, call, &dims, 2)?;
    let g = per_channel(r, call.g(), call.input(1), dims.len())?;
    let epsilon = call.node.float_or("epsilon", EPSILON);
    Ok(vec![(0, of_normalized(r, call.input(0), &g, &over, epsilon))])
}

/// Over all axes from `axis` on.
fn layer(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_active_scale(r, call)?;
    let dims = r.shape(call, call.input(0))?;
    let first = axis(call.node.int_or("axis", -1), dims.len());
    let over = Normalized::from(r, call, &dims, first)?;
    let g = r.mul(call.g(), call.input(1));
    let epsilon = call.node.float_or("epsilon", EPSILON);
    Ok(vec![(0, of_normalized(r, call.input(0), &g, &over, epsilon))])
}

/// Over all axes from `axis` on, without a mean: with `r = 1 / sqrt(mean(x^2) + epsilon)`, `y = r x scale` and `g` the
/// gradient of `r x`: `dx = r (g - x r^2 mean(g x))`.
fn root_mean_square(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_active_scale(r, call)?;
    let x = call.input(0);
    let dims = r.shape(call, x)?;
    let first = axis(call.node.int_or("axis", -1), dims.len());
    let over = Normalized::from(r, call, &dims, first)?;
    let g = r.mul(call.g(), call.input(1));
    let squares = r.sum_of_squares_over(x, &over.axes);
    let mean = r.scaled(&squares, 1.0 / over.count as f32);
    let floor = r.shifted(&mean, call.node.float_or("epsilon", EPSILON));
    let root = r.op("Sqrt", &[&floor]);
    let scale = r.op("Reciprocal", &[&root]);
    let product = r.mul(&g, x);
    let slope = r.mean_over(&product, &over.axes);
    let slope = r.op("Div", &[&slope, &floor]);
    let along = r.mul(x, &slope);
    let rest = r.op("Sub", &[&g, &along]);
    Ok(vec![(0, r.mul(&rest, &scale))])
}

/// Over the channels of a group and all pixels. The scale is one a group below operator set 21, one
/// a channel from 21 on.
fn group(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_active_scale(r, call)?;
    let dims = r.shape(call, call.input(0))?;
    let n_groups = call.node.int_or("num_groups", 0);
    let elements: Option<i64> = dims.iter().skip(1).map(|&d| length(d)).product();
    let elements = elements.unwrap_or(0);
    if n_groups <= 0 || elements < n_groups {
        return Err(r.error(
            call,
            format!("{n_groups} groups of a value of axes {dims:?}: expected fixed lengths"),
        ));
    }
    let grouped = [-1, n_groups, elements / n_groups];
    let by_channel = r.opset() >= 21;
    let scaled = if by_channel {
        per_channel(r, call.g(), call.input(1), dims.len())?
    } else {
        call.g().to_owned()
    };
    let g = r.reshaped(&scaled, &grouped);
    let g = if by_channel { g } else { per_channel(r, &g, call.input(1), 3)? };
    let x = r.reshaped(call.input(0), &grouped);
    let epsilon = call.node.float_or("epsilon", EPSILON);
    let over = Normalized { axes: vec![2], count: elements / n_groups };
    let gradient = of_normalized(r, &x, &g, &over, epsilon);
    Ok(vec![(0, r.like(call, &gradient, call.input(0))?)])
}

/// At inference: a fixed scale a channel.
fn batch(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_active_scale(r, call)?;
    if call.node.int_or("training_mode", 0) != 0 {
        return Err(r.error(call, "it is in training mode: export for inference"));
    }
    let rank = r.shape(call, call.input(0))?.len();
    let floor = r.shifted(call.input(4), call.node.float_or("epsilon", EPSILON));
    let std = r.op("Sqrt", &[&floor]);
    let scale = r.op("Div", &[call.input(1), &std]);
    Ok(vec![(0, per_channel(r, call.g(), &scale, rank)?)])
}

#[cfg(test)]
mod tests {
    use crate::edit::{float, int};
    use crate::rules::testing::check;
    use crate::testing::GraphUnderTest;

    #[test]
    fn instance_norm_with_and_without_scale() {
        let g = GraphUnderTest::new(&[3, 4, 5]).random("s", &[3]).random("bias", &[3]);
        check(g.node(
            "InstanceNormalization",
            &["x", "s", "bias"],
            &["y"],
            vec![float("epsilon", 1e-3)],
        ));
        let g =
            GraphUnderTest::new(&[2, 6]).floats("s", &[2], &[1.0; 2]).floats("b", &[2], &[0.0; 2]);
        check(g.opset(18).node("InstanceNormalization", &["x", "s", "b"], &["y"], vec![]));
    }

    #[test]
    fn layer_norm_over_one_and_two_axes() {
        let g = GraphUnderTest::new(&[3, 4]).random("s", &[4]).random("bias", &[4]);
        check(g.node("LayerNormalization", &["x", "s", "bias"], &["y"], vec![]));
        let g = GraphUnderTest::new(&[3, 4]).random("s", &[3, 4]).opset(18);
        check(g.node("LayerNormalization", &["x", "s"], &["y"], vec![int("axis", 1)]));
    }

    #[test]
    fn root_mean_square_norm_over_one_and_two_axes() {
        let g = GraphUnderTest::new(&[3, 4]).random("s", &[4]).opset(23);
        check(g.node("RMSNormalization", &["x", "s"], &["y"], vec![]));
        let g = GraphUnderTest::new(&[3, 4]).random("s", &[3, 4]).opset(23);
        let options = vec![int("axis", 1), float("epsilon", 0.1)];
        check(g.node("RMSNormalization", &["x", "s"], &["y"], options));
    }

    #[test]
    fn group_norm_of_both_definitions() {
        for (opset, n_scales) in [(18, 2), (21, 4)] {
            let g = GraphUnderTest::new(&[4, 3, 2]).opset(opset);
            let g = g.random("s", &[n_scales]).random("bias", &[n_scales]);
            check(g.node(
                "GroupNormalization",
                &["x", "s", "bias"],
                &["y"],
                vec![int("num_groups", 2)],
            ));
        }
    }

    #[test]
    fn batch_norm_at_inference() {
        let g =
            GraphUnderTest::new(&[3, 2, 2]).random("s", &[3]).random("b", &[3]).random("m", &[3]);
        let g = g.floats("v", &[3], &[0.5, 1.5, 2.0]);
        check(g.node("BatchNormalization", &["x", "s", "b", "m", "v"], &["y"], vec![]));
    }
}
