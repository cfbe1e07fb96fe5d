//! How noisy a state is, whatever the network was trained on.

/// A noise level: `x = a x_0 + s n` with `n ~ N(0, I)`.
///
/// | training | a | s |
/// |---|---|---|
/// | variance-preserving (DDPM) | `sqrt(alpha_bar)` | `sqrt(1 - alpha_bar)` |
/// | variance-exploding (EDM) | 1 | `sigma` |
/// | rectified flow | `1 - t` | `t` |
///
/// # Why are the squares kept?
/// A discrete schedule knows `alpha_bar` itself; squaring its root would move the last bit.
///
/// # Examples
/// ```
/// use dubench::schedule::NoiseLevel;
///
/// let level = NoiseLevel::variance_preserving(0.36);
/// assert_eq!((level.a(), level.s()), (0.6, 0.8));
/// assert_eq!(NoiseLevel::exploding(80.0).sigma(), 80.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    a: f64,
    s: f64,
    a2: f64,
    s2: f64,
}

impl NoiseLevel {
    /// The clean image: `a = 1`, `s = 0`.
    pub const CLEAN: Self = Self { a: 1.0, s: 0.0, a2: 1.0, s2: 0.0 };

    /// Smallest `a` of a schedule that goes down to 0, `2^-8`: see [`NoiseLevel::flow`].
    pub const LEAST_SIGNAL: f64 = 1.0 / 256.0;

    /// `a^2 = alpha_bar`, `s^2 = 1 - alpha_bar`.
    pub fn variance_preserving(alpha_bar: f64) -> Self {
        let s2 = 1.0 - alpha_bar;
        Self { a: alpha_bar.sqrt(), s: s2.sqrt(), a2: alpha_bar, s2 }
    }

    /// `a = 1`, `s = sigma`.
    pub fn exploding(sigma: f64) -> Self {
        Self { a: 1.0, s: sigma, a2: 1.0, s2: sigma * sigma }
    }

    /// `a = 1 - t`, `s = t`, with `a` held at [`NoiseLevel::LEAST_SIGNAL`] or more.
    ///
    /// # Why is `a` never 0?
    /// There `x` is the noise itself: `epsilon_hat = x` whatever the network says, and no rule could go on from it. With
    /// `a = 2^-8` an `epsilon_hat` in f32 still tells `x_0` to five digits.
    pub fn flow(t: f64) -> Self {
        let a = (1.0 - t).max(Self::LEAST_SIGNAL);
        let s = 1.0 - a;
        Self { a, s, a2: a * a, s2: s * s }
    }

    /// Weight of the image.
    pub fn a(&self) -> f64 {
        self.a
    }

    /// Weight of the noise.
    pub fn s(&self) -> f64 {
        self.s
    }

    /// `a^2`: `alpha_bar` where the variance is preserved.
    pub fn a2(&self) -> f64 {
        self.a2
    }

    /// `s^2`.
    pub fn s2(&self) -> f64 {
        self.s2
    }

    /// Noise-to-signal ratio `s / a`: EDM's `sigma`.
    pub fn sigma(&self) -> f64 {
        self.s / self.a
    }

    /// `lambda = ln(a / s)`, half the log signal-to-noise ratio.
    pub fn log_snr(&self) -> f64 {
        0.5 * libm::log(self.a2 / self.s2)
    }

    /// Variance of the noise that leads from the level `cleaner` to this one: `s^2 - (a / a')^2 s'^2`.
    pub fn variance_from(&self, cleaner: &Self) -> f64 {
        let kept = self.a2 / cleaner.a2;
        // Of two variance-preserving levels it is 1 - (a / a')^2, which cancels less.
        let preserving = |level: &Self| level.a2 + level.s2 == 1.0;
        let fresh = if preserving(self) && preserving(cleaner) {
            1.0 - kept
        } else {
            self.s2 - kept * cleaner.s2
        };
        fresh.max(0.0)
    }
}

/// A time of a schedule and the noise there: what a network is asked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoisePoint {
    /// Time in the schedule's own unit: a training step, `t` of a continuous process, EDM's `sigma`, or the time of a flow.
    pub t: f64,
    /// How noisy states are there.
    pub level: NoiseLevel,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_weights() {
        let level = NoiseLevel::variance_preserving(0.25);
        assert!((level.a2() + level.s2() - 1.0).abs() < 1e-15);
        assert!((level.sigma() - 3.0_f64.sqrt()).abs() < 1e-15);
        let level = NoiseLevel::exploding(3.0);
        assert!((level.log_snr() + 3.0_f64.ln()).abs() < 1e-15);
        let level = NoiseLevel::flow(0.25);
        assert!((level.a() - 0.75).abs() < 1e-15 && (level.s() - 0.25).abs() < 1e-15);
        assert!((NoiseLevel::flow(1.0).a() - NoiseLevel::LEAST_SIGNAL).abs() < 1e-15);
    }

    /// Going from the cleaner level adds independent noise: `s^2 = (a / a')^2 s'^2 + variance`.
    #[test]
    fn noise_between_two_levels_adds_up() {
        for [noisy, clean] in [
            [0.1, 0.7].map(NoiseLevel::variance_preserving),
            [5.0, 0.3].map(NoiseLevel::exploding),
            [0.8, 0.2].map(NoiseLevel::flow),
        ] {
            let added = noisy.variance_from(&clean);
            let total = noisy.a2() / clean.a2() * clean.s2() + added;
            assert!((total - noisy.s2()).abs() < 1e-12 && added > 0.0, "{noisy:?}");
        }
    }
}
