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

/// Colour of a map value in [0, 1] on a scale that is even to the eye: equal steps of a value are equal steps of `OKLab`
/// (Ottosson 2020), from dark violet through green to light yellow, at one chroma.
pub fn uniform(at: f64) -> RGBColor {
    const CHROMA: f64 = 0.085;
    let at = at.clamp(0.0, 1.0);
    let hue = (300.0 - 195.0 * at).to_radians();
    oklab(0.24 + 0.70 * at, CHROMA * hue.cos(), CHROMA * hue.sin())
}

/// The colour of `OKLab` coordinates, in sRGB; what lies outside is cut.
fn oklab(lightness: f64, a: f64, b: f64) -> RGBColor {
    let cube = |a_part: f64, b_part: f64| (lightness + a_part * a + b_part * b).powi(3);
    let l = cube(0.396_337_777_4, 0.215_803_757_3);
    let m = cube(-0.105_561_345_8, -0.063_854_172_8);
    let s = cube(-0.089_484_177_5, -1.291_485_548_0);
    RGBColor(
        gamma(4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s),
        gamma(-1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s),
        gamma(-0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s),
    )
}

/// A linear part of a colour as sRGB encodes it; what lies outside [0, 1] is cut.
pub(super) fn gamma(linear: f64) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let encoded = match linear {
        small if small <= 0.003_130_8 => 12.92 * small,
        other => 1.055 * other.powf(1.0 / 2.4) - 0.055,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=255")]
    let byte = (255.0 * encoded).round() as u8;
    byte
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

    /// `OKLab` coordinates of a colour, by the inverse of the matrices above (Ottosson 2020).
    fn seen(RGBColor(r, g, b): RGBColor) -> [f64; 3] {
        let [r, g, b] = [r, g, b].map(|byte| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
        let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
        let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
        [
            0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
            0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
        ]
    }

    #[test]
    fn the_uniform_scale_is_even_to_the_eye_and_rises_in_lightness() {
        let points: Vec<[f64; 3]> = (0..=20).map(|i| seen(uniform(f64::from(i) / 20.0))).collect();
        let distance = |pair: &[[f64; 3]]| -> f64 {
            (0..3).map(|k| (pair[1][k] - pair[0][k]).powi(2)).sum::<f64>().sqrt()
        };
        let steps: Vec<f64> = points.windows(2).map(distance).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        for step in &steps {
            // Bytes are rounded: a dark one by a tenth of a step.
            assert!((step / mean - 1.0).abs() < 0.2, "{steps:?}");
        }
        assert!(points.windows(2).all(|pair| pair[1][0] > pair[0][0]));
    }

    #[test]
    fn the_correlation_scale_is_lightest_at_zero() {
        let zero = luminance(diverging(0.0));
        for rho in [-1.0, -0.4, 0.4, 1.0] {
            assert!(luminance(diverging(rho)) < zero);
        }
    }
}
