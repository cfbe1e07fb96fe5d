//! The paper's scale of colours: blue over grey to red.

use std::f64::consts::PI;

use plotters::style::RGBColor;

use super::style::{Colour, gamma};

/// Magnitude of the ends, of the middle, and saturation of the ends.
const ENDS: f64 = 80.0;
const MIDDLE: f64 = 88.0;
const SATURATION: f64 = 1.08;
const BLUE: f64 = -1.1;
const RED: f64 = 0.5;

/// Colour of a map value in [0, 1] on the diverging scale of Moreland (2009, "Diverging color maps for scientific
/// visualization"), which matplotlib calls `coolwarm`: straight in Msh, the polar form of CIE Lab, from blue and from red to a
/// grey that has no hue, each end turned by the hue that keeps its angle to the grey.
///
/// It is darkest at both ends: read a map by its hue, not by its lightness.
pub fn coolwarm(at: f64) -> Colour {
    let at = at.clamp(0.0, 1.0);
    let from_middle = (2.0 * at - 1.0).abs();
    let hue = if at < 0.5 { BLUE } else { RED };
    let spin = SATURATION * (MIDDLE * MIDDLE - ENDS * ENDS).sqrt() / (ENDS * SATURATION.sin());
    let grey = if hue > -PI / 3.0 { hue + spin } else { hue - spin };
    let mix = |middle: f64, end: f64| middle + (end - middle) * from_middle;
    msh(mix(MIDDLE, ENDS), mix(0.0, SATURATION), mix(grey, hue))
}

/// The colour of Msh coordinates, in sRGB under D65; what lies outside is cut.
fn msh(magnitude: f64, saturation: f64, hue: f64) -> Colour {
    let colourful = magnitude * saturation.sin();
    let (lightness, a, b) =
        (magnitude * saturation.cos(), colourful * hue.cos(), colourful * hue.sin());
    let y = (lightness + 16.0) / 116.0;
    let cube = |f: f64| match f {
        small if small <= 6.0 / 29.0 => 3.0 * (6.0_f64 / 29.0).powi(2) * (small - 4.0 / 29.0),
        other => other.powi(3),
    };
    let (x, y, z) = (0.950_47 * cube(y + a / 500.0), cube(y), 1.088_83 * cube(y - b / 200.0));
    RGBColor(
        gamma(3.2406 * x - 1.5372 * y - 0.4986 * z),
        gamma(-0.9689 * x + 1.8758 * y + 0.0415 * z),
        gamma(0.0557 * x - 0.2040 * y + 1.0570 * z),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `_coolwarm_data` of matplotlib (`lib/matplotlib/_cm.py`), which is Moreland's own table `CoolWarmFloat33.csv`.
    #[test]
    fn the_scale_is_that_of_matplotlib() {
        for (at, expected) in [
            (0.0, [0.229_805_7, 0.298_717_966, 0.753_683_153]),
            (0.25, [0.552_953_156, 0.688_929_332, 0.995_375_608]),
            (0.4375, [0.798_691_636, 0.849_786_142, 0.931_688_648]),
            (0.5, [0.865_395_197, 0.865_410_21, 0.865_395_561]),
            (0.75, [0.958_003_065, 0.602_842_431, 0.481_775_914]),
            (0.9375, [0.795_631_745, 0.241_283_79, 0.220_525_627]),
            (1.0, [0.705_673_158, 0.015_556_16, 0.150_232_812]),
        ] {
            let RGBColor(r, g, b) = coolwarm(at);
            for (got, expected) in [r, g, b].into_iter().zip(expected) {
                // Half a byte, and the four digits of the matrix.
                assert!((f64::from(got) - 255.0 * expected).abs() < 0.55, "{at}: {got}");
            }
        }
    }
}
