//! Figures 4 and 5: images beside their maps, summed over the walk, in two scales of colours.

use image::RgbImage;

use super::panels::Panel;
use crate::report::plot::canvas::{Anchor, Canvas};
use crate::report::plot::sheet::{ends_of, photograph, tinted};
use crate::report::plot::{Backend, Figure, coolwarm, style};
use crate::report::{ReportError, number};

const TILE: f64 = 96.0;
const GAP: f64 = 8.0;
const MARGIN: f64 = 24.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 104.0;
const CAPTION: f64 = 16.0;
const FOOT: f64 = 66.0;

/// Colour of a place between the ends of a map.
type Scale = fn(f64) -> style::Colour;

/// One map in both scales, with its ends.
#[derive(Clone, Debug, PartialEq)]
struct Tile {
    uniform: RgbImage,
    diverging: RgbImage,
    ends: String,
}

/// One image with its maps.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    sample: String,
    image: RgbImage,
    tiles: Vec<Tile>,
}

/// The figure: one row an image, two columns a method.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SummedMapSheet {
    heads: Vec<String>,
    rows: Vec<Row>,
    caption: String,
}

impl SummedMapSheet {
    /// Prepares the tiles; `None` without images.
    ///
    /// # Errors
    /// [`ReportError::Value`] for values that are not finite.
    pub(super) fn new(panels: &[Panel], caption: &str) -> Result<Option<Self>, ReportError> {
        let Some(first) = panels.first() else { return Ok(None) };
        let heads = first.methods.iter().map(|method| method.label.clone()).collect();
        let rows = panels.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Some(Self { heads, rows, caption: caption.to_owned() }))
    }
}

fn row(panel: &Panel) -> Result<Row, ReportError> {
    let mut tiles = Vec::new();
    for method in &panel.methods {
        let ends = ends_of(&method.summed, || format!("map of image {}", panel.sample))?;
        let text = |value: f32| number::significant(f64::from(value), 3).unwrap_or_default();
        tiles.push(Tile {
            uniform: tinted(&method.summed, ends, style::uniform),
            diverging: tinted(&method.summed, ends, coolwarm),
            ends: format!("{} to {}", text(ends.0), text(ends.1)),
        });
    }
    let sample = format!("#{}", number::count(panel.sample.0));
    Ok(Row { sample, image: photograph(&panel.image), tiles })
}

impl Figure for SummedMapSheet {
    fn name(&self) -> &'static str {
        "uncertainty-maps"
    }

    fn title(&self) -> String {
        "Images and their uncertainty, summed over all steps and channels".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = LEFT + TILE + self.heads.len() as f64 * (2.0 * TILE + 2.0 * GAP + GAP) + MARGIN;
        let height = TOP + self.rows.len() as f64 * (TILE + CAPTION + GAP) + FOOT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = (width.max(640.0) as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let (ink, soft) = ((style::SMALL, style::INK), (style::SMALL, style::SOFT_INK));
        canvas.text((MARGIN, 24.0), &self.title(), Anchor::Start, (style::TITLE, style::INK))?;
        canvas.text((MARGIN, 44.0), &self.caption, Anchor::Start, soft)?;
        let left =
            |method: usize| LEFT + TILE + 2.0 * GAP + method as f64 * (2.0 * TILE + 3.0 * GAP);
        canvas.text((LEFT, TOP - 8.0), "Image", Anchor::Start, ink)?;
        for (at, head) in self.heads.iter().enumerate() {
            canvas.text((left(at), TOP - 24.0), head, Anchor::Start, (style::LABEL, style::INK))?;
            canvas.text((left(at), TOP - 8.0), "uniform", Anchor::Start, soft)?;
            let second = left(at) + TILE + GAP;
            canvas.text((second, TOP - 8.0), "as in the paper", Anchor::Start, soft)?;
        }
        for (i, row) in self.rows.iter().enumerate() {
            let top = TOP + i as f64 * (TILE + CAPTION + GAP);
            canvas.text((LEFT - 8.0, top + TILE / 2.0), &row.sample, Anchor::End, ink)?;
            canvas.raster((LEFT, top, TILE, TILE), row.image.clone());
            for (at, tile) in row.tiles.iter().enumerate() {
                canvas.raster((left(at), top, TILE, TILE), tile.uniform.clone());
                let second = left(at) + TILE + GAP;
                canvas.raster((second, top, TILE, TILE), tile.diverging.clone());
                let under = (left(at), top + TILE + 1.1 * style::SMALL);
                canvas.text(under, &tile.ends, Anchor::Start, soft)?;
            }
        }
        let top = TOP + self.rows.len() as f64 * (TILE + CAPTION + GAP) + 10.0;
        let words = [
            "even to the eye: lowest to highest value of each map, as written below it",
            "the same in the paper's colours (coolwarm of matplotlib), blue over grey to red",
        ];
        draw_scales(canvas, (MARGIN, top), words)
    }
}

/// Both scales of colours, one above the other, with words beside them.
pub(super) fn draw_scales<B: Backend>(
    canvas: &mut Canvas<B>,
    (left, top): (f64, f64),
    words: [&str; 2],
) -> Result<(), String> {
    let (length, n) = (180.0, 60);
    let step = length / f64::from(n);
    let scales: [Scale; 2] = [style::uniform, coolwarm];
    for (row, (colour, words)) in (0_u32..).zip(scales.into_iter().zip(words)) {
        let y = top + f64::from(row) * 20.0;
        for i in 0..n {
            let at = (f64::from(i) + 0.5) / f64::from(n);
            // Half a pixel more, so that no hairline shows between two blocks.
            canvas.block((left + f64::from(i) * step, y, step + 0.5, 10.0), colour(at))?;
        }
        let look = (style::SMALL, style::SOFT_INK);
        canvas.text((left + length + 10.0, y + 9.0), words, Anchor::Start, look)?;
    }
    Ok(())
}
