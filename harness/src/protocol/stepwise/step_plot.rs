//! Figures 8 and 9: maps of single steps of one image, on one scale and as the paper draws them.
//!
//! Ours: sums over channels, one scale for all steps of a method, so that steps can be compared. The paper's: the largest
//! channel, every map stretched to its own ends, and for its own estimator, not for dropout, a contrast that is raised to
//! 1.25 above one half and to 0.75 below.

use image::RgbImage;
use ndarray::{Array2, Array3, Axis};

use super::map_plot::draw_scales;
use super::panels::{MethodPanel, Panel};
use crate::report::plot::canvas::{Anchor, Canvas};
use crate::report::plot::sheet::{ends_of, photograph, tinted};
use crate::report::plot::{Backend, Figure, coolwarm, style};
use crate::report::{ReportError, number};

/// Maps in a row.
const N_SHOWN: u32 = 10;
const TILE: f64 = 64.0;
const GAP: f64 = 6.0;
const LEFT: f64 = 150.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 84.0;
const BLOCK: f64 = 2.0 * (TILE + GAP) + 20.0;
const FOOT: f64 = 66.0;

/// The steps of one method.
#[derive(Clone, Debug, PartialEq)]
struct Strip {
    label: String,
    ends: String,
    /// Loop index, on the common scale, as the paper draws it.
    tiles: Vec<(u32, RgbImage, RgbImage)>,
}

/// The figure: two rows a method.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepMapSheet {
    image: RgbImage,
    strips: Vec<Strip>,
    caption: String,
}

impl StepMapSheet {
    /// Prepares the tiles.
    ///
    /// # Errors
    /// [`ReportError::Value`] for values that are not finite.
    pub(super) fn new(panel: &Panel, caption: &str) -> Result<Self, ReportError> {
        let strips = panel.methods.iter().map(strip).collect::<Result<_, _>>()?;
        let caption = format!("image #{}; {caption}", panel.sample);
        Ok(Self { image: photograph(&panel.image), strips, caption })
    }
}

fn strip(method: &MethodPanel) -> Result<Strip, ReportError> {
    let n = u32::try_from(method.steps.len()).unwrap_or(u32::MAX);
    let every = (n / N_SHOWN).max(1);
    let shown: Vec<(u32, &Array3<f32>)> = (method.steps.iter())
        .filter(|(index, _)| *index % every == 0)
        .map(|(index, map)| (*index, map))
        .take(N_SHOWN as usize)
        .collect();
    let summed: Vec<Array2<f32>> = shown.iter().map(|(_, map)| map.sum_axis(Axis(0))).collect();
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for map in &summed {
        let ends = ends_of(map, || format!("a step's map of {}", method.label))?;
        (low, high) = (low.min(ends.0), high.max(ends.1));
    }
    let tile = |((index, map), sum): (&(u32, &Array3<f32>), &Array2<f32>)| {
        let papers = stretched(map, method.kind);
        (*index, tinted(sum, (low, high), style::uniform), tinted(&papers, (0.0, 1.0), coolwarm))
    };
    Ok(Strip {
        label: method.label.clone(),
        ends: format!("{} to {}", short(low), short(high)),
        tiles: shown.iter().zip(&summed).map(tile).collect(),
    })
}

/// Three digits, by the power of ten where they would stand far behind the point.
fn short(value: f32) -> String {
    if value == 0.0 || value.abs() >= 1e-3 {
        return number::significant(f64::from(value), 3).unwrap_or_default();
    }
    format!("{value:.1e}").replace('-', "−")
}

/// The largest channel, stretched to `[0, 1]`, with the paper's contrast where it has one.
fn stretched(map: &Array3<f32>, kind: &str) -> Array2<f32> {
    let most = map.fold_axis(Axis(0), f32::NEG_INFINITY, |most, value| most.max(*value));
    let low = most.iter().copied().fold(f32::INFINITY, f32::min);
    let high = most.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let has_contrast = kind != "mc_dropout";
    most.mapv(|value| {
        let at = if high > low { (value - low) / (high - low) } else { 0.0 };
        match () {
            () if !has_contrast => at,
            () if at > 0.5 => at.powf(1.25),
            () => at.powf(0.75),
        }
    })
}

impl Figure for StepMapSheet {
    fn name(&self) -> &'static str {
        "maps-by-step"
    }

    fn title(&self) -> String {
        "Uncertainty of single steps, from noise to image".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = LEFT + f64::from(N_SHOWN + 1) * (TILE + GAP) + MARGIN;
        let height = TOP + self.strips.len() as f64 * BLOCK + FOOT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = (width as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let (ink, soft) = ((style::SMALL, style::INK), (style::SMALL, style::SOFT_INK));
        canvas.text((MARGIN, 24.0), &self.title(), Anchor::Start, (style::TITLE, style::INK))?;
        canvas.text((MARGIN, 44.0), &self.caption, Anchor::Start, soft)?;
        for (at, strip) in self.strips.iter().enumerate() {
            let top = TOP + at as f64 * BLOCK;
            let label = (style::LABEL, style::INK);
            canvas.text((MARGIN, top + 26.0), &strip.label, Anchor::Start, label)?;
            canvas.text((MARGIN, top + 42.0), &strip.ends, Anchor::Start, soft)?;
            let second = top + TILE + GAP;
            canvas.text((MARGIN, second + 34.0), "as in the paper", Anchor::Start, soft)?;
            for (column, (index, uniform, papers)) in strip.tiles.iter().enumerate() {
                let left = LEFT + column as f64 * (TILE + GAP);
                let words = format!("step {index}");
                canvas.text((left + TILE / 2.0, top - 5.0), &words, Anchor::Middle, ink)?;
                canvas.raster((left, top, TILE, TILE), uniform.clone());
                canvas.raster((left, second, TILE, TILE), papers.clone());
            }
            let left = LEFT + f64::from(N_SHOWN) * (TILE + GAP);
            canvas.text((left + TILE / 2.0, top - 5.0), "image", Anchor::Middle, ink)?;
            canvas.raster((left, top, TILE, TILE), self.image.clone());
        }
        let top = TOP + self.strips.len() as f64 * BLOCK + 6.0;
        let words = [
            "even to the eye: sum over channels, one scale for all steps of an estimator, its ends beside it",
            "largest channel, each map from its lowest to its highest value, in the paper's colours (coolwarm of matplotlib)",
        ];
        draw_scales(canvas, (MARGIN, top), words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_maps_are_stretched_channels_with_its_contrast() {
        let map = Array3::from_shape_vec((2, 1, 3), vec![1.0, 2.0, 0.0, 0.5, 0.0, 5.0]).unwrap();
        // Largest channels 1, 2, 5; stretched 0, 1/4, 1.
        let plain = stretched(&map, "mc_dropout");
        assert_eq!(plain.as_slice().unwrap(), [0.0, 0.25, 1.0]);
        let ours = stretched(&map, "sample_var");
        assert!((ours[[0, 1]] - 0.25_f32.powf(0.75)).abs() < 1e-6);
    }

    #[test]
    fn small_ends_are_written_by_their_power_of_ten() {
        assert_eq!([short(23.64), short(0.0), short(1.2e-10)], ["23.6", "0", "1.2e−10"]);
    }
}
