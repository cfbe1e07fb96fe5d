//! The images that each method is surest and least sure of, with their uncertainty maps.

#[cfg(test)]
mod tests;

use image::{Rgb, RgbImage};
use ndarray::{Array2, Array3};
use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::Figure;
use super::canvas::{Anchor, Canvas};
use super::style;
use crate::report::{ReportError, number};
use crate::units::SampleId;

/// Images at each end; more would not be legible.
const MOST: usize = 6;
/// Images at each end where there are more than [`MANY`] methods: the sheet stays as small, and one can still look over it.
const FEWER: usize = 3;
/// Methods that are shown with all their images.
const MANY: usize = 8;
const TILE: f64 = 64.0;
const GAP: f64 = 6.0;
const MARGIN: f64 = 24.0;
const BETWEEN_ENDS: f64 = 40.0;
const TOP: f64 = 66.0;
const NAME: f64 = 24.0;
const CAPTION: f64 = 30.0;
const BELOW: f64 = 10.0;
const FOOT: f64 = 34.0;
/// Images with longer sides are averaged down before they are embedded.
const LARGEST_SIDE: usize = 128;

/// Which end of a ranking an exhibit stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RankEnd {
    /// Lowest scores.
    MostCertain,
    /// Highest scores.
    LeastCertain,
}

/// One image with the map of one method.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// Method whose ranking chose the image.
    pub name: String,
    /// The same, as readers see it.
    pub method: String,
    /// End of that ranking.
    pub end: RankEnd,
    /// Sample id.
    pub sample: SampleId,
    /// The method's score.
    pub score: f64,
    /// `[3, H, W]` u8.
    pub image: Array3<u8>,
    /// `[H, W]` f32, >= 0; `None` where the method has no map.
    pub map: Option<Array2<f32>>,
}

/// Rows of both ends of a ranking, lowest first and highest first, as many as the sheet shows and at most half each; equal
/// scores by row.
pub fn ends(scores: &[f64]) -> impl Iterator<Item = (RankEnd, usize)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|i, j| scores[*i].total_cmp(&scores[*j]).then(i.cmp(j)));
    let n = MOST.min(order.len() / 2);
    let highest = order[order.len() - n..].iter().rev().map(|row| (RankEnd::LeastCertain, *row));
    let lowest = order[..n].iter().map(|row| (RankEnd::MostCertain, *row));
    lowest.chain(highest).collect::<Vec<_>>().into_iter()
}

/// One image, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
struct Tile {
    image: RgbImage,
    map: Option<RgbImage>,
    caption: [String; 2],
}

/// All images of one method.
#[derive(Clone, Debug, PartialEq)]
struct Strip {
    method: String,
    certain: Vec<Tile>,
    uncertain: Vec<Tile>,
}

impl Strip {
    fn has_maps(&self) -> bool {
        self.certain.iter().chain(&self.uncertain).any(|tile| tile.map.is_some())
    }

    fn height(&self) -> f64 {
        let maps = if self.has_maps() { TILE + 2.0 } else { 0.0 };
        NAME + TILE + maps + CAPTION + BELOW
    }
}

/// The figure: one strip a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    strips: Vec<Strip>,
}

impl Sheet {
    /// Takes the first six exhibits of each method and end, three where there are more than eight methods; `None` without
    /// exhibits.
    ///
    /// # Errors
    /// [`ReportError::Value`] for images that are not `[3, H, W]`, maps of another size, values that are not finite.
    pub fn new(exhibits: &[Exhibit]) -> Result<Option<Self>, ReportError> {
        let mut strips: Vec<Strip> = Vec::new();
        for exhibit in exhibits {
            if !strips.iter().any(|strip| strip.method == exhibit.method) {
                let method = exhibit.method.clone();
                strips.push(Strip { method, certain: Vec::new(), uncertain: Vec::new() });
            }
            let Some(strip) = strips.iter_mut().find(|strip| strip.method == exhibit.method) else {
                continue;
            };
            let tiles = match exhibit.end {
                RankEnd::MostCertain => &mut strip.certain,
                RankEnd::LeastCertain => &mut strip.uncertain,
            };
            if tiles.len() < MOST {
                tiles.push(tile(exhibit)?);
            }
        }
        if strips.len() > MANY {
            for strip in &mut strips {
                strip.certain.truncate(FEWER);
                strip.uncertain.truncate(FEWER);
            }
        }
        Ok((!strips.is_empty()).then_some(Self { strips }))
    }

    /// Tiles at each end: as many as the fullest strip has.
    fn n_columns(&self) -> f64 {
        let longest =
            self.strips.iter().map(|strip| strip.certain.len().max(strip.uncertain.len())).max();
        longest.unwrap_or(0).max(4) as f64
    }

    fn half_width(&self) -> f64 {
        self.n_columns() * (TILE + GAP) - GAP
    }

    fn left(&self, end: RankEnd) -> f64 {
        match end {
            RankEnd::MostCertain => MARGIN,
            RankEnd::LeastCertain => MARGIN + self.half_width() + BETWEEN_ENDS,
        }
    }

    fn draw_strip<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        strip: &Strip,
        top: f64,
    ) -> Result<(), String> {
        let ink = (style::LABEL, style::INK);
        canvas.text((MARGIN, top + 14.0), &strip.method, Anchor::Start, ink)?;
        for (end, tiles) in
            [(RankEnd::MostCertain, &strip.certain), (RankEnd::LeastCertain, &strip.uncertain)]
        {
            for (i, tile) in tiles.iter().enumerate() {
                let x = self.left(end) + i as f64 * (TILE + GAP);
                draw_tile(canvas, tile, (x, top + NAME), strip.has_maps())?;
            }
        }
        Ok(())
    }

    fn draw_scale<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        top: f64,
    ) -> Result<(), String> {
        let (length, n) = (120.0, 48);
        let step = length / f64::from(n);
        for i in 0..n {
            let colour = style::sequential((f64::from(i) + 0.5) / f64::from(n));
            // Half a pixel more, so that no hairline shows between two blocks.
            canvas.block((MARGIN + f64::from(i) * step, top, step + 0.5, 10.0), colour)?;
        }
        let note = (style::SMALL, style::SOFT_INK);
        let text = "lowest to highest value of each map: every map has its own scale, compare patterns and not brightness";
        let point = (MARGIN + length + 10.0, top + 9.0);
        let narrow = self.half_width() < 5.0 * TILE;
        let text = if narrow { "lowest to highest value of each map" } else { text };
        canvas.text(point, text, Anchor::Start, note)
    }
}

fn draw_tile<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    tile: &Tile,
    (x, y): (f64, f64),
    strip_has_maps: bool,
) -> Result<(), String> {
    canvas.raster((x, y, TILE, TILE), tile.image.clone());
    let mut below = y + TILE;
    if strip_has_maps {
        below += 2.0;
        match &tile.map {
            Some(map) => canvas.raster((x, below, TILE, TILE), map.clone()),
            None => canvas.block((x, below, TILE, TILE), style::GRID)?,
        }
        below += TILE;
    }
    let centre = x + TILE / 2.0;
    let [id, score] = &tile.caption;
    let line = 1.2 * style::SMALL;
    canvas.text((centre, below + line), id, Anchor::Middle, (style::SMALL, style::SOFT_INK))?;
    canvas.text((centre, below + 2.0 * line), score, Anchor::Middle, (style::SMALL, style::INK))
}

fn tile(exhibit: &Exhibit) -> Result<Tile, ReportError> {
    let refuse = |got: String, expected: &str| ReportError::Value {
        place: format!("exhibit of {}, sample {}", exhibit.method, exhibit.sample),
        got,
        expected: expected.to_owned(),
        remedy: "run `dubench verify` on the work folder".to_owned(),
    };
    let (channels, h, w) = exhibit.image.dim();
    if channels != 3 || h == 0 || w == 0 {
        return Err(refuse(format!("an image [{channels}, {h}, {w}]"), "an image [3, H, W]"));
    }
    if !exhibit.score.is_finite() {
        return Err(refuse(format!("score {}", exhibit.score), "a finite score"));
    }
    if let Some(map) = &exhibit.map {
        if map.dim().0 == 0 || map.dim().1 == 0 {
            return Err(refuse(format!("a map {:?}", map.dim()), "a map with pixels"));
        }
        if let Some(bad) = map.iter().find(|value| !value.is_finite()) {
            return Err(refuse(format!("map value {bad}"), "finite map values"));
        }
    }
    let id = format!("#{}", number::count(exhibit.sample.0));
    let score = number::significant(exhibit.score, 3).unwrap_or_default();
    Ok(Tile {
        image: photograph(&exhibit.image),
        map: exhibit.map.as_ref().map(coloured),
        caption: [id, score],
    })
}

/// The image as RGB, averaged down by a whole factor where it is large.
pub fn photograph(image: &Array3<u8>) -> RgbImage {
    let (_, h, w) = image.dim();
    let step = h.max(w).div_ceil(LARGEST_SIDE);
    let mean = |channel: usize, y: usize, x: usize| {
        let mut sum = 0u64;
        for dy in 0..step {
            for dx in 0..step {
                sum += u64::from(image[[channel, y * step + dy, x * step + dx]]);
            }
        }
        let n = (step * step) as u64;
        u8::try_from((sum + n / 2) / n).unwrap_or(u8::MAX)
    };
    let side = |length: usize| u32::try_from(length / step).unwrap_or(1);
    RgbImage::from_fn(side(w), side(h), |x, y| {
        let (x, y) = (x as usize, y as usize);
        Rgb([mean(0, y, x), mean(1, y, x), mean(2, y, x)])
    })
}

/// The map in colour, its minimum at the dark and its maximum at the light end. A constant map is dark.
pub fn coloured(map: &Array2<f32>) -> RgbImage {
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    tinted(map, (low, high), style::sequential)
}

/// Lowest and highest value of a map.
///
/// # Errors
/// [`ReportError::Value`], with `place`, for a map without pixels or with a value that is not finite.
pub fn ends_of(map: &Array2<f32>, place: impl Fn() -> String) -> Result<(f32, f32), ReportError> {
    let bad = map.iter().find(|value| !value.is_finite()).map(ToString::to_string);
    if let Some(got) = bad.or_else(|| map.is_empty().then(|| format!("a map {:?}", map.dim()))) {
        return Err(ReportError::Value {
            place: place(),
            got,
            expected: "pixels with finite values".to_owned(),
            remedy: "run `dubench verify` on the work folder".to_owned(),
        });
    }
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Ok((low, high))
}

/// The map on a scale of colours that goes from `low` to `high`.
pub fn tinted(
    map: &Array2<f32>,
    (low, high): (f32, f32),
    colour: impl Fn(f64) -> RGBColor,
) -> RgbImage {
    let (h, w) = map.dim();
    let step = h.max(w).div_ceil(LARGEST_SIDE);
    let side = |length: usize| u32::try_from(length / step).unwrap_or(1);
    RgbImage::from_fn(side(w), side(h), |x, y| {
        let value = map[[y as usize * step, x as usize * step]];
        let at = if high > low { f64::from(value - low) / f64::from(high - low) } else { 0.0 };
        let RGBColor(r, g, b) = colour(at);
        Rgb([r, g, b])
    })
}

impl Figure for Sheet {
    fn name(&self) -> &'static str {
        "certain-and-uncertain"
    }

    fn title(&self) -> String {
        "Most and least certain images of each method, with their maps".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = 2.0 * (MARGIN + self.half_width()) + BETWEEN_ENDS;
        let height = TOP + self.strips.iter().map(Strip::height).sum::<f64>() + FOOT;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "thousands of pixels"
        )]
        let size = (width.ceil() as u32, height.ceil() as u32);
        size
    }

    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 22.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        for (end, words) in [
            (RankEnd::MostCertain, "Most certain: lowest scores"),
            (RankEnd::LeastCertain, "Least certain: highest scores"),
        ] {
            let (x, y) = (self.left(end), 50.0);
            canvas.text((x, y), words, Anchor::Start, (style::LABEL, style::INK))?;
            canvas.block((x, y + 7.0, self.half_width(), 1.0), style::SOFT_INK)?;
        }
        let mut top = TOP;
        for strip in &self.strips {
            self.draw_strip(canvas, strip, top)?;
            top += strip.height();
        }
        self.draw_scale(canvas, top + 4.0)
    }
}
