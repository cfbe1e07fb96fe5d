//! What the rules of axes share: lengths that must be one, and why a result is not told.

use super::expr::{Axes, Expr};
use super::seen::Seen;
use super::value::Value;
use crate::dim::axis;

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

impl Seen<'_> {
    /// Axes of input `index`.
    pub(super) fn input(&self, index: usize) -> Decided<&Axes> {
        known(self.axes.get(index).copied().flatten())
    }

    /// Elements of input `index`, all known.
    pub(super) fn numbers(&self, index: usize) -> Decided<Vec<Expr>> {
        known(self.values.get(index).copied().flatten().and_then(Value::known))
    }

    /// Elements of input `index` as constant integers.
    pub(super) fn constants(&self, index: usize) -> Decided<Vec<i64>> {
        known(self.values.get(index).copied().flatten().and_then(Value::integers))
    }

    pub(super) fn shape_length(&self) -> Decided<usize> {
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
