//! The axes that an operator gives its outputs, from those of its inputs.

use super::axes_layout;
use super::axes_sums;
use super::decide::{Decided, Undecided, known, together};
use super::expr::{Axes, Expr};
use super::seen::Seen;
use crate::dim::axis;

/// Axes of each output of a node of the standard set.
pub(super) fn outputs(seen: &Seen<'_>) -> Decided<Vec<Axes>> {
    let op = seen.node.op_type.as_str();
    if let Some(kind) = elementwise(op) {
        return match kind {
            Kind::First => Ok(vec![seen.input(0)?.clone(); seen.node.output.len()]),
            Kind::Together => Ok(vec![broadcast(seen)?]),
        };
    }
    if let Some(answer) = axes_layout::outputs(seen).or_else(|| axes_sums::outputs(seen)) {
        return answer;
    }
    match op {
        "LayerNormalization" | "RMSNormalization" => normalized(seen),
        "InstanceNormalization" | "GroupNormalization" | "BatchNormalization" => {
            Ok(vec![seen.input(0)?.clone()])
        }
        "Shape" => Ok(vec![vec![Expr::length(seen.shape_length()?)]]),
        "Size" => Ok(vec![Vec::new()]),
        "Range" => range(seen),
        "RandomNormal" | "RandomUniform" => {
            let shape = known(seen.node.ints_of("shape"))?;
            Ok(vec![shape.iter().map(|&n| Expr::fixed(n as f64)).collect()])
        }
        _ => Err(Undecided::Open),
    }
}

enum Kind {
    /// As the first input.
    First,
    /// As all inputs together.
    Together,
}

fn elementwise(op: &str) -> Option<Kind> {
    match op {
        "Identity" | "Cast" | "CastLike" | "Dropout" | "Exp" | "Log" | "Sqrt" | "Reciprocal"
        | "Abs" | "Neg" | "Sign" | "Floor" | "Ceil" | "Round" | "Sin" | "Cos" | "Tan" | "Tanh"
        | "Atan" | "Sinh" | "Cosh" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Swish" | "Mish"
        | "Gelu" | "Erf" | "Relu" | "LeakyRelu" | "Elu" | "Celu" | "Selu" | "ThresholdedRelu"
        | "Softplus" | "Softsign" | "Softmax" | "LogSoftmax" | "Hardmax" | "Not" | "IsNaN"
        | "IsInf" | "Clip" | "CumSum" | "Trilu" | "LpNormalization" | "EyeLike" | "ScatterND"
        | "ScatterElements" | "RandomNormalLike" | "RandomUniformLike" | "Bernoulli"
        | "RotaryEmbedding" | "PRelu" => Some(Kind::First),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "And"
        | "Or" | "Xor" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual"
        | "Where" => Some(Kind::Together),
        _ => None,
    }
}

fn broadcast(seen: &Seen<'_>) -> Decided<Axes> {
    let mut axes = Axes::new();
    for index in 0..seen.node.input.len() {
        axes = together(&axes, seen.input(index)?)?;
    }
    Ok(axes)
}

/// The mean and the deviation keep the axes in front, ones behind.
fn normalized(seen: &Seen<'_>) -> Decided<Vec<Axes>> {
    let x = seen.input(0)?;
    let first = axis(seen.node.int_or("axis", -1), x.len());
    let mut means = x.clone();
    means.iter_mut().skip(first).for_each(|e| *e = Expr::length(1));
    let mut out = vec![x.clone()];
    out.resize(seen.node.output.len().max(1), means);
    Ok(out)
}

fn range(seen: &Seen<'_>) -> Decided<Vec<Axes>> {
    let one = |index| known(seen.numbers(index)?.first().copied());
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    let steps = known(limit.minus(start).over(step))?;
    let length = known(steps.rounded(f64::ceil))?;
    let length =
        if length.at_most(Expr::length(0)) == Some(true) { Expr::length(0) } else { length };
    Ok(vec![vec![length]])
}
