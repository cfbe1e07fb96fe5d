//! The axes that an operator gives its outputs, from those of its inputs.

use super::axes_layout;
use super::axes_sums;
use super::expr::Expr;
use super::layout::Seen;
use super::network::Axes;
use crate::rules::axis;

/// Why the axes of an output are not told by those of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecided {
    /// The operator has no rule here, or its result depends on more than shapes: the runtime knows.
    Open,
    /// The node works for one batch size alone: rows of `x` that it takes.
    BakedIn(usize),
}

pub(super) type Decided<T> = Result<T, Undecided>;

/// What is missing is open.
pub(super) fn known<T>(value: Option<T>) -> Decided<T> {
    value.ok_or(Undecided::Open)
}

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

impl Seen<'_> {
    /// Axes of input `index`.
    pub(super) fn input(&self, index: usize) -> Decided<&Axes> {
        known(self.axes.get(index).copied().flatten())
    }

    /// Elements of input `index`, all known.
    pub(super) fn numbers(&self, index: usize) -> Decided<Vec<Expr>> {
        known(self.values.get(index).copied().flatten().and_then(super::value::Value::known))
    }

    /// Elements of input `index` as constant integers.
    pub(super) fn constants(&self, index: usize) -> Decided<Vec<i64>> {
        known(self.values.get(index).copied().flatten().and_then(super::value::Value::integers))
    }

    fn shape_length(&self) -> Decided<usize> {
        let rank = self.input(0)?.len();
        let at = |name: &str, default: usize| {
            self.node
                .find(name)
                .map_or(default, |_| axis(self.node.int_or(name, 0), rank).min(rank))
        };
        Ok(at("end", rank).saturating_sub(at("start", 0)))
    }
}

/// Both lengths, one of which may be 1 and is then repeated.
pub(super) fn meet(a: Expr, b: Expr) -> Decided<Expr> {
    if a == b || b.is(1.0) {
        Ok(a)
    } else if a.is(1.0) {
        Ok(b)
    } else {
        Err(differ(a, b))
    }
}

/// Both lengths, which must be one.
pub(super) fn equal(a: Expr, b: Expr) -> Decided<Expr> {
    if a == b { Ok(a) } else { Err(differ(a, b)) }
}

/// Why two lengths cannot be one: a batch against a number is a batch that is baked in.
pub(super) fn differ(a: Expr, b: Expr) -> Undecided {
    let rows = |moving: Expr, fixed: Expr| {
        let per_batch = Expr::fixed(moving.per_batch).count().filter(|&n| n > 0)?;
        let fixed = fixed.count().filter(|n| *n > 0 && n % per_batch == 0)?;
        moving.minus(Expr::batch(per_batch)).is(0.0).then_some(fixed / per_batch)
    };
    rows(a, b).or_else(|| rows(b, a)).map_or(Undecided::Open, Undecided::BakedIn)
}

/// The axes of several values, repeated to a common shape.
pub(super) fn together(a: &[Expr], b: &[Expr]) -> Decided<Axes> {
    let rank = a.len().max(b.len());
    let at =
        |s: &[Expr], k: usize| (k + s.len()).checked_sub(rank).map_or(Expr::length(1), |k| s[k]);
    (0..rank).map(|k| meet(at(a, k), at(b, k))).collect()
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
