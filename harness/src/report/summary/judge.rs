//! From a number to a verdict.

use crate::config::published::claims::Expected;

/// Chance of an error that a verdict may have.
pub const LEVEL: f64 = 0.05;

/// Standard errors from the middle of a 95 % interval to its ends, by the normal law.
const HALF_WIDTH: f64 = 1.959_963_984_540_054;

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The number lies where the claim says, beyond its error.
    Holds,
    /// The number lies elsewhere, beyond its error.
    DoesNotHold,
    /// The error is too large to say.
    WithinNoise,
    /// Nothing here could answer it.
    NotTestable,
    /// The experiment that answers it has no result at this scale.
    NotRun,
}

impl Verdict {
    /// All of them, in the order of a count.
    pub const ALL: [Self; 5] =
        [Self::Holds, Self::DoesNotHold, Self::WithinNoise, Self::NotTestable, Self::NotRun];

    /// As the page prints it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::WithinNoise => "within noise",
            Self::NotTestable => "not testable here",
            Self::NotRun => "not run",
        }
    }

    /// Whether a number was held against the claim.
    pub fn is_tested(self) -> bool {
        matches!(self, Self::Holds | Self::DoesNotHold | Self::WithinNoise)
    }
}

/// A p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct P {
    /// Two-sided, of no difference, adjusted by Holm's method.
    pub value: f64,
    /// Whether no random draw lay as far: then it is an upper bound that more draws would lower.
    pub at_floor: bool,
}

/// A number of ours, with what tells how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub se: Option<f64>,
    /// Its 95 % interval, where the result has one.
    pub interval: Option<(f64, f64)>,
    /// Images behind it.
    pub n: Option<u64>,
    /// Of no difference from 0.
    pub p: Option<P>,
    /// Whether it is a count, which has no error.
    pub exact: bool,
}

impl Measured {
    /// 95 % interval; the number itself where it is a count.
    fn ends(&self) -> Option<(f64, f64)> {
        if self.exact {
            return Some((self.value, self.value));
        }
        let by_error = |se: f64| {
            let half = HALF_WIDTH * se;
            (self.value - half, self.value + half)
        };
        self.interval.or_else(|| self.se.filter(|se| se.is_finite() && *se >= 0.0).map(by_error))
    }
}

/// What a number says of a claim, and why nothing where it says nothing.
///
/// A p of "no difference" decides where the claim is about the sign of a difference; else the 95 % interval does. A p that
/// stands at its floor is an upper bound: where the floor is not below [`LEVEL`], no outcome could have been significant.
///
/// # Examples
/// ```
/// use dubench::config::published::claims::Expected;
/// use dubench::report::summary::{Measured, Verdict, judge};
/// let measured = Measured { value: -0.3, se: Some(0.1), interval: None, n: None, p: None, exact: false };
/// assert_eq!(judge(&measured, Expected::Below { than: 0.0 }).0, Verdict::Holds);
/// assert_eq!(judge(&measured, Expected::Above { than: 0.0 }).0, Verdict::DoesNotHold);
/// assert_eq!(judge(&measured, Expected::Below { than: -0.2 }).0, Verdict::WithinNoise);
/// ```
pub fn judge(measured: &Measured, expected: Expected) -> (Verdict, Option<String>) {
    if let Some(p) = measured.p
        && let Some(is_there) = sign_as_claimed(measured.value, expected)
    {
        return by_p(p, is_there);
    }
    let Some((low, high)) = measured.ends() else {
        return (Verdict::NotTestable, Some("the number has no error bar".to_owned()));
    };
    let (inside, outside) = match expected {
        Expected::Below { than } => (high < than, low > than),
        Expected::Above { than } => (low > than, high < than),
        Expected::Between { low: from, high: to } => {
            (from <= low && high <= to, high < from || low > to)
        }
    };
    let word = match (inside, outside, measured.exact) {
        (true, _, _) => Verdict::Holds,
        (_, true, _) | (_, _, true) => Verdict::DoesNotHold,
        _ => Verdict::WithinNoise,
    };
    (word, None)
}

/// For a claim about the sign of a difference, whether the difference has it.
fn sign_as_claimed(value: f64, expected: Expected) -> Option<bool> {
    match expected {
        Expected::Below { than: 0.0 } => Some(value < 0.0),
        Expected::Above { than: 0.0 } => Some(value > 0.0),
        _ => None,
    }
}

fn by_p(p: P, is_there: bool) -> (Verdict, Option<String>) {
    match (p.value < LEVEL, is_there, p.at_floor) {
        (true, true, _) => (Verdict::Holds, None),
        (true, false, _) => (Verdict::DoesNotHold, None),
        (false, _, true) => {
            let why = "no random subset lies as far, and yet p cannot fall lower: it takes more random subsets";
            (Verdict::NotTestable, Some(why.to_owned()))
        }
        (false, _, false) => (Verdict::WithinNoise, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64, se: Option<f64>) -> Measured {
        Measured { value, se, interval: None, n: None, p: None, exact: false }
    }

    fn with_p(value: f64, p: f64, at_floor: bool) -> Measured {
        Measured { p: Some(P { value: p, at_floor }), ..number(value, Some(1.0)) }
    }

    const BELOW: Expected = Expected::Below { than: 0.0 };
    const ABOVE: Expected = Expected::Above { than: 0.0 };

    fn word(measured: &Measured, expected: Expected) -> Verdict {
        judge(measured, expected).0
    }

    #[test]
    fn p_goes_before_the_interval_and_the_sign_says_which_way() {
        // Three standard errors below 0, and a p that says otherwise: p respects what the subsets share.
        let noise = Measured { value: -3.0, ..with_p(-3.0, 0.2, false) };
        assert_eq!(word(&noise, BELOW), Verdict::WithinNoise);
        assert_eq!(word(&with_p(-0.1, 0.01, false), BELOW), Verdict::Holds);
        assert_eq!(word(&with_p(0.1, 0.01, false), BELOW), Verdict::DoesNotHold);
        assert_eq!(word(&with_p(0.1, 0.01, false), ABOVE), Verdict::Holds);
    }

    #[test]
    fn a_p_at_its_floor_is_significant_only_where_the_floor_is() {
        // Ten tests against 200 subsets: the floor is 10 / 201.
        assert_eq!(word(&with_p(1.0, 10.0 / 201.0, true), BELOW), Verdict::DoesNotHold);
        // Twenty tests: 20 / 201 is above 0.05, and nothing could have been significant.
        let (verdict, why) = judge(&with_p(1.0, 20.0 / 201.0, true), BELOW);
        assert_eq!(verdict, Verdict::NotTestable);
        assert!(why.unwrap().contains("more random subsets"));
        assert_eq!(word(&with_p(1.0, 20.0 / 201.0, false), BELOW), Verdict::WithinNoise);
        assert_eq!(word(&with_p(1.0, LEVEL, false), ABOVE), Verdict::WithinNoise);
    }

    #[test]
    fn the_interval_decides_at_1_96_standard_errors() {
        for (value, verdict) in [
            (-1.97, Verdict::Holds),
            (-1.95, Verdict::WithinNoise),
            (1.95, Verdict::WithinNoise),
            (1.97, Verdict::DoesNotHold),
        ] {
            assert_eq!(word(&number(value, Some(1.0)), BELOW), verdict, "{value}");
        }
        // The interval of the result, where it has one.
        let own = Measured { interval: Some((-0.2, 0.4)), ..number(0.1, Some(0.001)) };
        assert_eq!(word(&own, ABOVE), Verdict::WithinNoise);
    }

    #[test]
    fn a_p_of_no_difference_says_nothing_of_another_threshold() {
        let expected = Expected::Below { than: 2.0 };
        assert_eq!(word(&with_p(1.0, 0.001, false), expected), Verdict::WithinNoise);
        assert_eq!(word(&with_p(-1.0, 0.9, false), expected), Verdict::Holds);
    }

    #[test]
    fn between_needs_the_whole_interval() {
        let expected = Expected::Between { low: 0.0, high: 1.0 };
        for (value, verdict) in [
            (0.5, Verdict::Holds),
            (0.9, Verdict::WithinNoise),
            (1.1, Verdict::WithinNoise),
            (1.3, Verdict::DoesNotHold),
            (-0.3, Verdict::DoesNotHold),
        ] {
            assert_eq!(word(&number(value, Some(0.1)), expected), verdict, "{value}");
        }
    }

    #[test]
    fn counts_have_no_error_and_other_numbers_need_one() {
        let counted = |value| Measured { exact: true, ..number(value, None) };
        let expected = Expected::Between { low: 20.0, high: 20.0 };
        assert_eq!(word(&counted(20.0), expected), Verdict::Holds);
        assert_eq!(word(&counted(21.0), expected), Verdict::DoesNotHold);
        assert_eq!(word(&counted(0.0), BELOW), Verdict::DoesNotHold);
        let (verdict, why) = judge(&number(20.0, None), expected);
        assert_eq!(
            (verdict, why.as_deref()),
            (Verdict::NotTestable, Some("the number has no error bar"))
        );
        assert_eq!(word(&number(-1.0, Some(f64::NAN)), BELOW), Verdict::NotTestable);
    }
}
