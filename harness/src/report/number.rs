//! Numbers as text: as many digits as their error bar supports, and never `NaN`.

/// Decimals at which `error` has two significant digits, at most 8 and at least 0.
fn decimals_of_error(error: f64) -> usize {
    let place = |value: f64| {
        let exponent = value.abs().log10().floor();
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=8")]
        let digits = (1.0 - exponent).clamp(0.0, 8.0) as i32;
        digits
    };
    let first = place(error);
    // 0.0996 rounds to 0.100, which has one digit more than it should.
    let rounded = (error * 10f64.powi(first)).round() / 10f64.powi(first);
    usize::try_from(place(rounded)).unwrap_or(0)
}

/// `13.42 ± 0.11`: two significant digits of the error, the value to the same place.
///
/// `None` where the value is not finite. An error that is missing, zero or not finite is left out.
///
/// # Examples
/// ```
/// use dubench::report::number;
/// assert_eq!(number::with_error(13.41649, Some(0.1132)).as_deref(), Some("13.42 ± 0.11"));
/// assert_eq!(number::with_error(13.41649, None).as_deref(), Some("13.42"));
/// assert_eq!(number::with_error(3.4967e10, Some(2.853e9)).as_deref(), Some("(3.50 ± 0.29)e10"));
/// assert_eq!(number::with_error(f64::NAN, Some(0.1)), None);
/// ```
pub fn with_error(value: f64, error: Option<f64>) -> Option<String> {
    let Some(error) = error.filter(|error| error.is_finite() && *error > 0.0) else {
        return significant(value, 4);
    };
    if value.is_finite() && value.abs() >= LARGE {
        return Some(large_with_error(value, error));
    }
    let decimals = decimals_of_error(error);
    Some(format!("{} ± {}", fixed(value, decimals)?, fixed(error, decimals)?))
}

/// From here on a value is written by its power of ten.
const LARGE: f64 = 1e7;

/// `(3.50 ± 0.29)e10`: value and error over the power of ten of the value.
fn large_with_error(value: f64, error: f64) -> String {
    let exponent = value.abs().log10().floor();
    let (value, error) = (value / 10f64.powf(exponent), error / 10f64.powf(exponent));
    let decimals = decimals_of_error(error);
    let sign = if value < 0.0 { "−" } else { "" };
    format!("({sign}{:.decimals$} ± {error:.decimals$})e{exponent:.0}", value.abs())
}

/// `+0.08 ± 0.11` or `−0.08 ± 0.11`: as [`with_error`], with the sign always shown.
pub fn signed_with_error(value: f64, error: Option<f64>) -> Option<String> {
    let text = with_error(value, error)?;
    let negative = text.trim_start_matches('(').starts_with('−');
    Some(if negative { text } else { format!("+{text}") })
}

/// A number to `digits` significant digits, without exponent, `−` as its minus sign.
///
/// # Examples
/// ```
/// use dubench::report::number;
/// assert_eq!(number::significant(0.004_975, 2).as_deref(), Some("0.0050"));
/// assert_eq!(number::significant(-12_345.6, 4).as_deref(), Some("−12,346"));
/// ```
pub fn significant(value: f64, digits: u32) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    if value == 0.0 {
        return Some("0".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=12")]
    let decimals =
        |x: f64| (f64::from(digits) - 1.0 - x.abs().log10().floor()).clamp(0.0, 12.0) as i32;
    let first = decimals(value);
    let rounded = (value * 10f64.powi(first)).round() / 10f64.powi(first);
    let place = if rounded == 0.0 { first } else { decimals(rounded) };
    fixed(value, usize::try_from(place).unwrap_or(0))
}

/// A number to `decimals` places, with thousands separators; `None` where it is not finite.
pub fn fixed(value: f64, decimals: usize) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let negative = value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    let mut out = String::from(if negative { "−" } else { "" });
    out.push_str(&grouped(whole));
    if !part.is_empty() {
        out.push('.');
        out.push_str(part);
    }
    Some(out)
}

/// The shortest text that reads back as `value`: for numbers that were printed by others.
pub fn exact(value: f64) -> Option<String> {
    value.is_finite().then(|| format!("{value}").replace('-', "−"))
}

/// `50,000`.
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A p-value to two digits, or to two decimals above 0.1; `< 0.001` and `> 0.99` at the ends.
pub fn p_value(p: f64) -> Option<String> {
    match p {
        p if !(0.0..=1.0).contains(&p) => None,
        p if p < 0.001 => Some("< 0.001".to_owned()),
        p if p < 0.1 => significant(p, 2),
        p if p <= 0.99 => fixed(p, 2),
        _ => Some("> 0.99".to_owned()),
    }
}

/// A p-value that is no more than an upper bound: `≤ 0.0050`.
///
/// # Examples
/// ```
/// use dubench::report::number;
/// assert_eq!(number::p_at_most(1.0 / 201.0).as_deref(), Some("≤ 0.0050"));
/// assert_eq!(number::p_at_most(1.0 / 20_001.0).as_deref(), Some("≤ 0.000050"));
/// assert_eq!(number::p_at_most(1.0).as_deref(), Some("1"));
/// ```
pub fn p_at_most(p: f64) -> Option<String> {
    match p {
        p if !(0.0..=1.0).contains(&p) => None,
        p if p >= 1.0 => Some("1".to_owned()),
        p if p < 0.1 => Some(format!("≤ {}", significant(p, 2)?)),
        p => Some(format!("≤ {}", fixed(p, 2)?)),
    }
}

/// `*` for p < 0.05, `**` for p < 0.01, `***` for p < 0.001.
pub fn stars(p: f64) -> &'static str {
    match p {
        p if p < 0.001 => "***",
        p if p < 0.01 => "**",
        p if p < 0.05 => "*",
        _ => "",
    }
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_stops_where_its_error_stops() {
        let shown = |value, error| with_error(value, Some(error)).unwrap();
        assert_eq!(shown(3.28941, 0.0216), "3.289 ± 0.022");
        assert_eq!(shown(27.1, 0.0996), "27.10 ± 0.10");
        assert_eq!(shown(27.1, 9.96), "27 ± 10");
        assert_eq!(shown(12345.6, 321.0), "12,346 ± 321");
        assert_eq!(shown(123_456.7, 3_210.0), "123,457 ± 3,210");
        assert_eq!(shown(-2.0e8, 0.1e8), "(−2.00 ± 0.10)e8");
        assert_eq!(shown(-0.0321, 0.0102), "−0.032 ± 0.010");
    }

    #[test]
    fn zero_never_carries_a_minus_sign() {
        assert_eq!(fixed(-0.0004, 2).unwrap(), "0.00");
        assert_eq!(signed_with_error(-0.0, Some(0.1)).unwrap(), "+0.00 ± 0.10");
        assert_eq!(signed_with_error(-2e8, Some(1e7)).unwrap(), "(−2.00 ± 0.10)e8");
        assert_eq!(signed_with_error(2e8, Some(1e7)).unwrap(), "+(2.00 ± 0.10)e8");
    }

    #[test]
    fn rounding_up_to_the_next_power_keeps_the_digits() {
        assert_eq!(significant(0.9996, 3).unwrap(), "1.00");
        assert_eq!(significant(99.96, 3).unwrap(), "100");
    }

    #[test]
    fn what_is_not_a_number_has_no_text() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(with_error(bad, Some(0.1)).is_none());
            assert!(significant(bad, 3).is_none());
            assert!(exact(bad).is_none());
            assert!(p_value(bad).is_none());
        }
        assert_eq!(with_error(1.5, Some(f64::NAN)).unwrap(), "1.500");
    }

    #[test]
    fn published_digits_are_kept() {
        assert_eq!(exact(13.416).unwrap(), "13.416");
        assert_eq!(exact(-4.85).unwrap(), "−4.85");
    }
}
