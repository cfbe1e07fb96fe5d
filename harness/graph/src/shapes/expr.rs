//! Numbers that follow the batch size: lengths, starts, sizes.

use crate::dim::Dim;

/// `per_batch * B + fixed` for the batch size `B`, which is 1 or more.
///
/// Why floats? Sizes of a resize are computed in floats, and f64 holds each integer up to 2^53. What is larger (the end
/// of a slice that means "to the end") is only compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expr {
    pub(super) per_batch: f64,
    pub(super) fixed: f64,
}

/// Lengths of the axes of a value.
pub(super) type Axes = Vec<Expr>;

impl Expr {
    /// A number that the batch does not change.
    pub(super) fn fixed(fixed: f64) -> Self {
        Self { per_batch: 0.0, fixed }
    }

    /// A length that the batch does not change.
    pub(super) fn length(n: usize) -> Self {
        Self::fixed(n as f64)
    }

    /// So many times the batch size.
    pub(super) fn batch(per_batch: usize) -> Self {
        Self { per_batch: per_batch as f64, fixed: 0.0 }
    }

    /// The number, where the batch does not change it.
    pub(super) fn constant(self) -> Option<f64> {
        (!moves(self.per_batch)).then_some(self.fixed)
    }

    /// As an integer; very large ones end at those of i64.
    pub(super) fn integer(self) -> Option<i64> {
        let value = self.constant().filter(|v| v.fract().abs() < f64::MIN_POSITIVE)?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number; the cast saturates")]
        Some(value as i64)
    }

    /// As the length of an axis.
    pub(super) fn count(self) -> Option<usize> {
        self.integer().and_then(|n| usize::try_from(n).ok())
    }

    pub(super) fn is(self, value: f64) -> bool {
        self == Self::fixed(value)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { per_batch: self.per_batch + other.per_batch, fixed: self.fixed + other.fixed }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.negative())
    }

    pub(super) fn negative(self) -> Self {
        Self { per_batch: -self.per_batch, fixed: -self.fixed }
    }

    /// `None` where the square of the batch size comes in.
    pub(super) fn times(self, other: Self) -> Option<Self> {
        let scaled = |e: Self, k: f64| Self { per_batch: e.per_batch * k, fixed: e.fixed * k };
        match (self.constant(), other.constant()) {
            (_, Some(k)) => Some(scaled(self, k)),
            (Some(k), _) => Some(scaled(other, k)),
            _ => None,
        }
    }

    /// Quotient of floats.
    pub(super) fn over(self, other: Self) -> Option<Self> {
        match other.constant() {
            Some(k) => {
                moves(k).then(|| Self { per_batch: self.per_batch / k, fixed: self.fixed / k })
            }
            None => (!moves(self.fixed) && !moves(other.fixed))
                .then(|| Self::fixed(self.per_batch / other.per_batch)),
        }
    }

    /// Quotient of integers, rounded towards zero as ONNX does it.
    pub(super) fn whole_over(self, other: Self) -> Option<Self> {
        self.over(other)?.truncated()
    }

    /// Without its fraction.
    pub(super) fn truncated(self) -> Option<Self> {
        match self.constant() {
            Some(value) => Some(Self::fixed(value.trunc())),
            None => match Self::fixed(0.0).at_most(self) {
                Some(true) => self.rounded(f64::floor),
                _ => self.rounded(f64::ceil).filter(|whole| *whole == self),
            },
        }
    }

    /// Rounded by a function that moves with whole numbers, where the result has a number for each batch size.
    pub(super) fn rounded(self, round: impl Fn(f64) -> f64) -> Option<Self> {
        let is_whole = self.per_batch.fract().abs() < f64::MIN_POSITIVE;
        is_whole.then(|| Self { per_batch: self.per_batch, fixed: round(self.fixed) })
    }

    /// Whether `self <= other` for each batch size; `None` where it depends.
    pub(super) fn at_most(self, other: Self) -> Option<bool> {
        let rest = other.minus(self);
        let at_one = rest.per_batch + rest.fixed;
        if rest.per_batch >= 0.0 && at_one >= 0.0 {
            Some(true)
        } else if rest.per_batch <= 0.0 && at_one < 0.0 {
            Some(false)
        } else {
            None
        }
    }

    /// Whether both are equal for each batch size, or for none; `None` where it depends.
    pub(super) fn equals(self, other: Self) -> Option<bool> {
        let rest = self.minus(other);
        if let Some(rest) = rest.constant() {
            return Some(!moves(rest));
        }
        let meeting = -rest.fixed / rest.per_batch;
        (meeting < 1.0 || meeting.fract() > 0.0).then_some(false)
    }

    /// As an axis of a value.
    pub(super) fn dim(self) -> Dim {
        let per_batch = Self::fixed(self.per_batch).count();
        match (self.count(), per_batch) {
            (Some(n), _) => Dim::Fixed(n),
            (None, Some(n)) if !moves(self.fixed) => Dim::Batch(n),
            _ => Dim::Other,
        }
    }

    /// The axis as a number; `None` for one that moves otherwise.
    pub(super) fn of(dim: Dim) -> Option<Self> {
        match dim {
            Dim::Fixed(n) => Some(Self::length(n)),
            Dim::Batch(n) => Some(Self::batch(n)),
            Dim::Other => None,
        }
    }
}

/// Whether a number is not zero.
fn moves(v: f64) -> bool {
    v.abs() > 0.0
}

#[cfg(test)]
mod tests {
    use super::Expr;
    use crate::dim::Dim;

    fn b() -> Expr {
        Expr::batch(1)
    }

    #[test]
    fn lengths_are_fixed_or_follow_the_batch() {
        assert_eq!(Expr::length(7).dim(), Dim::Fixed(7));
        assert_eq!(b().times(Expr::length(4)).unwrap().dim(), Dim::Batch(4));
        assert_eq!(b().plus(Expr::length(1)).dim(), Dim::Other);
        assert_eq!(Expr::fixed(-1.0).dim(), Dim::Other);
        assert_eq!(b().times(b()), None);
        assert_eq!(b().plus(Expr::length(1)).minus(b()).dim(), Dim::Fixed(1));
    }

    #[test]
    fn quotients_are_whole_for_each_batch_or_unknown() {
        let six = b().times(Expr::length(6)).unwrap();
        assert_eq!(six.whole_over(Expr::length(3)), Some(Expr::batch(2)));
        assert_eq!(six.whole_over(Expr::length(4)), None);
        assert_eq!(six.whole_over(Expr::batch(4)), Some(Expr::length(1)));
        assert_eq!(Expr::fixed(-7.0).whole_over(Expr::length(2)), Some(Expr::fixed(-3.0)));
        assert_eq!(six.whole_over(Expr::length(0)), None);
        // As `chunk` is traced: (2 B + 2 - 1) / 2.
        let odd = Expr::batch(2).plus(Expr::length(1));
        assert_eq!(odd.whole_over(Expr::length(2)), Some(b()));
        assert_eq!(b().negative().plus(Expr::fixed(0.5)).truncated(), None);
    }

    #[test]
    fn comparisons_hold_for_each_batch_or_are_unknown() {
        let (one, two) = (Expr::length(1), Expr::length(2));
        assert_eq!(one.at_most(b()), Some(true));
        assert_eq!(two.at_most(b()), None);
        assert_eq!(b().at_most(Expr::length(0)), Some(false));
        assert_eq!(b().equals(Expr::fixed(-1.0)), Some(false));
        assert_eq!(b().equals(one), None);
        assert_eq!(b().equals(b()), Some(true));
    }
}
