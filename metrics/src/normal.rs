//! The normal law.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `P(|Z| >= |z|)` of a standard normal.
pub(crate) fn two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() * FRAC_1_SQRT_2)
}

/// The z with `P(|Z| <= z) = level`, for `0 < level < 1`.
///
/// Newton's method on erfc from a start below the root; the density makes every step an undershoot or exact.
pub(crate) fn two_sided_quantile(level: f64) -> f64 {
    let tail = 1.0 - level;
    let mut z = 0.0;
    for _ in 0..60 {
        let density = (2.0 / PI).sqrt() * libm::exp(-0.5 * z * z);
        let step = (two_sided_p(z) - tail) / density;
        z += step;
        if step.abs() < 1e-15 * z {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (level, z) in [
            (0.5, 0.674_489_750_196_081_7),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_900_4),
        ] {
            assert!((two_sided_quantile(level) - z).abs() < 1e-12, "level {level}");
            assert!((two_sided_p(z) - (1.0 - level)).abs() < 1e-14);
        }
    }
}
