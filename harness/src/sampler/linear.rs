//! Steps as linear maps.

use crate::schedule::{NoiseLevel, NoisePoint};

/// `x' = of_x x + of_epsilon epsilon + sqrt(noise_variance) z`, with `epsilon` the prediction at `x`, or half of the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearStep {
    /// Factor of the state.
    pub of_x: f64,
    /// Factor of the prediction.
    pub of_epsilon: f64,
    /// Variance of the noise that the step adds.
    pub noise_variance: f64,
    /// Where the prediction is made, if not at `x`.
    pub midpoint: Option<Midpoint>,
}

/// `x_m = of_x x + of_epsilon epsilon(x)`, and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Midpoint {
    /// Factor of the state.
    pub of_x: f64,
    /// Factor of the prediction there.
    pub of_epsilon: f64,
    /// Where the network is asked.
    pub place: NoisePoint,
}

/// Factors of `a' x0_hat + toward epsilon` with `x0_hat = (x - s epsilon) / a`.
pub(super) fn factors(now: &NoiseLevel, next: &NoiseLevel, toward: f64) -> (f64, f64) {
    let of_x = next.a() / now.a();
    (of_x, toward - of_x * now.s())
}
