//! Colours and sizes of all plots, in logical pixels.

use plotters::style::RGBColor;

/// A colour.
pub type Colour = RGBColor;

/// Text and axes.
pub const INK: RGBColor = RGBColor(34, 34, 34);
/// Words that explain.
pub const SOFT_INK: RGBColor = RGBColor(96, 96, 96);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(226, 226, 226);
/// The random baseline and its bands.
pub const RANDOM: RGBColor = RGBColor(120, 120, 120);
/// Background.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);

/// Size of titles.
pub const TITLE: f64 = 15.0;
/// Size of axis names, legends, panel titles.
pub const LABEL: f64 = 12.0;
/// Size of tick labels and captions.
pub const SMALL: f64 = 10.5;

/// Okabe and Ito's palette, without its black (ink) and its yellow (too light on white). Readers with any of the
/// common colour vision deficiencies can tell the six apart.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Colour of the `i`-th method; markers tell methods apart where colours repeat.
pub fn colour(i: usize) -> RGBColor {
    PALETTE[i % PALETTE.len()]
}

/// Relative luminance in [0, 1] (ITU-R BT.709 weights on gamma-encoded values: enough to choose black or white text).
pub fn luminance(colour: RGBColor) -> f64 {
    let RGBColor(r, g, b) = colour;
    (0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)) / 255.0
}

/// Point of a piecewise linear colour scale; `at` in [0, 1] is clamped.
fn ramp(stops: &[[f64; 3]], at: f64) -> RGBColor {
    let last = stops.len() - 1;
    let place = at.clamp(0.0, 1.0) * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= place <= last"
    )]
    let low = (place.floor() as usize).min(last.saturating_sub(1));
    let part = place - low as f64;
    let mix = |channel: usize| {
        let value = stops[low][channel] * (1.0 - part) + stops[low + 1][channel] * part;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=255")]
        let byte = value.round().clamp(0.0, 255.0) as u8;
        byte
    };
    RGBColor(mix(0), mix(1), mix(2))
}

/// Colour of a map value in [0, 1]: dark for low, light for high, with steadily rising luminance, so that it also
/// reads in greyscale.
pub fn sequential(at: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 6] = [
        [18.0, 10.0, 48.0],
        [66.0, 22.0, 110.0],
        [142.0, 40.0, 110.0],
        [214.0, 78.0, 72.0],
        [250.0, 150.0, 50.0],
        [253.0, 240.0, 170.0],
    ];
    ramp(&STOPS, at)
}

/// Colour of a correlation in [-1, 1]: blue, white, orange.
pub fn diverging(rho: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 5] = [
        [0.0, 90.0, 156.0],
        [128.0, 178.0, 214.0],
        [247.0, 247.0, 247.0],
        [240.0, 168.0, 112.0],
        [190.0, 76.0, 0.0],
    ];
    ramp(&STOPS, 0.5 + rho / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_scale_rises_in_luminance() {
        let levels: Vec<f64> =
            (0..=100).map(|i| luminance(sequential(f64::from(i) / 100.0))).collect();
        assert!(levels.windows(2).all(|pair| pair[1] >= pair[0]));
        assert!(levels[100] - levels[0] > 0.8);
    }

    #[test]
    fn the_correlation_scale_is_lightest_at_zero() {
        let zero = luminance(diverging(0.0));
        for rho in [-1.0, -0.4, 0.4, 1.0] {
            assert!(luminance(diverging(rho)) < zero);
        }
    }
}
