//! Interpolation kernels and the weights they give.

/// A resampling filter of Pillow.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::{Filter, pillow_f32};
/// use ndarray::array;
/// let step = array![[0.0_f32, 0.0, 8.0, 8.0]];
/// let of = |filter| pillow_f32(step.view(), (1, 8), filter);
/// assert!(of(Filter::Bilinear)?.iter().all(|v| (0.0..=8.0).contains(v)));
/// assert!(of(Filter::Bicubic)?.iter().any(|v| *v < 0.0)); // overshoots: clip where a tool clips
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Mean over the area of an output pixel.
    Box,
    /// Triangle of half width 1.
    Bilinear,
    /// Keys' cubic with a = -1/2.
    Bicubic,
    /// Sinc windowed by sinc, three lobes.
    Lanczos,
}

impl Filter {
    /// Half width of the filter, in input pixels when enlarging.
    pub(super) fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn value(self, x: f64) -> f64 {
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => keys_cubic(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn keys_cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    libm::sin(x) / x
}

/// The weights of one output pixel: input pixels from `first` on.
#[derive(Debug, Clone)]
pub(super) struct Taps {
    pub(super) first: usize,
    pub(super) weights: Vec<f64>,
}

/// Pillow's weights along one axis, f64 and normalised. When shrinking the filter is stretched by `in / out`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "truncation towards zero of the window bounds is Pillow's rule"
)]
pub(super) fn pillow_taps(input: usize, output: usize, filter: Filter) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..output)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let inverse = 1.0 / stretch;
            let mut weights: Vec<f64> =
                (first..end).map(|x| filter.value((x as f64 - centre + 0.5) * inverse)).collect();
            let total: f64 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|w| *w /= total);
            }
            Taps { first, weights }
        })
        .collect()
}

/// `PyTorch`'s antialiased bilinear weights, which are computed in f32.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "truncation towards zero of the window bounds is the rule of the tool"
)]
pub(super) fn antialias_taps(input: usize, output: usize) -> Vec<Taps> {
    let scale = input as f32 / output as f32;
    let support = scale.max(1.0);
    let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    (0..output)
        .map(|i| {
            let centre = scale * (i as f32 + 0.5);
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let raw: Vec<f32> = (first..end)
                .map(|x| (1.0 - ((x as f32 - centre + 0.5) * inverse).abs()).max(0.0))
                .collect();
            let total: f32 = raw.iter().sum();
            Taps { first, weights: raw.iter().map(|w| f64::from(w / total)).collect() }
        })
        .collect()
}
