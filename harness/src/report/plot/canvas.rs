//! Drawing in logical pixels on any plotters backend.
//!
//! plotters rounds every coordinate to a whole pixel and places text by rules that differ between its backends.
//! So figures are drawn here on a canvas that is `scale` times larger than its logical size, and text is placed
//! by its baseline, which both backends then agree on.

use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, DrawingBackend, FontTransform, IntoDrawingArea, PathElement, Polygon,
    Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, IntoTextStyle, RGBColor, ShapeStyle,
};

use super::font::FAMILY;
use super::style;

/// How a backend sizes and places text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextRule {
    /// Size to ask for, in em.
    pub size_per_em: f64,
    /// Distance from the anchor at the top to the baseline, in em.
    pub baseline: f64,
}

impl TextRule {
    /// The SVG backend divides by 1.24 and shifts text down by `0.76em`.
    pub const SVG: Self = Self { size_per_em: 1.24, baseline: 0.76 };
    /// The bitmap backend reads a size as ascent minus descent (1.164 em for `DejaVu` Sans) and puts the baseline at half
    /// of it.
    pub const BITMAP: Self = Self { size_per_em: 1.164, baseline: 0.582 };
}

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Begins at the point.
    Start,
    /// Centred on the point.
    Middle,
    /// Ends at the point.
    End,
}

/// Shape of a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Disc.
    Disc,
    /// Square.
    Square,
    /// Triangle, tip up.
    Triangle,
    /// Square on its tip.
    Diamond,
}

impl Marker {
    /// Shape of the `i`-th method.
    pub fn of(i: usize) -> Self {
        [Self::Disc, Self::Square, Self::Triangle, Self::Diamond][i % 4]
    }
}

/// A line's look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// Colour.
    pub colour: RGBColor,
    /// Width.
    pub width: f64,
    /// Lengths of dash and gap; `None` is solid.
    pub dash: Option<(f64, f64)>,
}

impl Stroke {
    /// A solid line.
    pub fn solid(colour: RGBColor, width: f64) -> Self {
        Self { colour, width, dash: None }
    }
}

/// An image that is put on the canvas when all else is drawn: `[h, w]` RGB pixels, stretched without smoothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    /// Left, top, width, height.
    pub place: (f64, f64, f64, f64),
    /// Pixels.
    pub pixels: image::RgbImage,
}

/// A canvas. Origin top left, y downwards.
pub struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    text: TextRule,
    /// Images, in drawing order.
    pub rasters: Vec<Raster>,
}

impl<B: DrawingBackend> std::fmt::Debug for Canvas<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canvas").field("scale", &self.scale).finish_non_exhaustive()
    }
}

type Drawn = Result<(), String>;

impl<B: DrawingBackend> Canvas<B> {
    /// A white canvas on `backend`, whose size is `scale` times the logical size.
    ///
    /// # Errors
    /// The backend's message.
    pub fn new(backend: B, scale: f64, text: TextRule) -> Result<Self, String> {
        let area = backend.into_drawing_area();
        area.fill(&style::PAPER).map_err(message)?;
        Ok(Self { area, scale, text, rasters: Vec::new() })
    }

    /// Ends the drawing.
    ///
    /// # Errors
    /// The backend's message.
    pub fn finish(self) -> Result<Vec<Raster>, String> {
        self.area.present().map_err(message)?;
        Ok(self.rasters)
    }

    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.pixel(x), self.pixel(y))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates; plots are thousands of pixels wide"
    )]
    fn pixel(&self, logical: f64) -> i32 {
        (logical * self.scale).round() as i32
    }

    fn stroke_style(&self, stroke: Stroke) -> ShapeStyle {
        let width = self.pixel(stroke.width).max(1).unsigned_abs();
        stroke.colour.stroke_width(width)
    }

    /// A line through `points`.
    ///
    /// # Errors
    /// The backend's message.
    pub fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) -> Drawn {
        let pieces = match stroke.dash {
            None => vec![points.to_vec()],
            Some((on, off)) => dashes(points, on, off),
        };
        let look = self.stroke_style(stroke);
        for piece in pieces {
            let path: Vec<(i32, i32)> = piece.iter().map(|point| self.at(*point)).collect();
            self.area.draw(&PathElement::new(path, look)).map_err(message)?;
        }
        Ok(())
    }

    /// A filled polygon.
    ///
    /// # Errors
    /// The backend's message.
    pub fn fill(&mut self, points: &[(f64, f64)], colour: RGBColor, opacity: f64) -> Drawn {
        let path: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        self.area.draw(&Polygon::new(path, colour.mix(opacity).filled())).map_err(message)
    }

    /// A filled rectangle: left, top, width, height.
    ///
    /// # Errors
    /// The backend's message.
    pub fn block(&mut self, (x, y, w, h): (f64, f64, f64, f64), colour: RGBColor) -> Drawn {
        let corners = [self.at((x, y)), self.at((x + w, y + h))];
        self.area.draw(&Rectangle::new(corners, colour.filled())).map_err(message)
    }

    /// The outline of a rectangle: left, top, width, height.
    ///
    /// # Errors
    /// The backend's message.
    pub fn frame(&mut self, (x, y, w, h): (f64, f64, f64, f64), stroke: Stroke) -> Drawn {
        self.line(&[(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)], stroke)
    }

    /// A data point of a method.
    ///
    /// # Errors
    /// The backend's message.
    pub fn marker(
        &mut self,
        (x, y): (f64, f64),
        marker: Marker,
        radius: f64,
        colour: RGBColor,
    ) -> Drawn {
        let r = radius;
        match marker {
            Marker::Disc => {
                let disc = Circle::new(self.at((x, y)), self.pixel(r), colour.filled());
                self.area.draw(&disc).map_err(message)
            }
            Marker::Square => {
                let a = 0.88 * r;
                self.block((x - a, y - a, 2.0 * a, 2.0 * a), colour)
            }
            Marker::Triangle => {
                let a = 1.2 * r;
                self.fill(&[(x, y - a), (x + a, y + 0.8 * a), (x - a, y + 0.8 * a)], colour, 1.0)
            }
            Marker::Diamond => {
                let a = 1.3 * r;
                self.fill(&[(x, y - a), (x + a, y), (x, y + a), (x - a, y)], colour, 1.0)
            }
        }
    }

    /// Text whose baseline passes through the point; `em` is its size. What would leave the canvas at a side ends in an
    /// ellipsis.
    ///
    /// # Errors
    /// The backend's message.
    pub fn text(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        anchor: Anchor,
        look: (f64, RGBColor),
    ) -> Drawn {
        let width = f64::from(self.area.dim_in_pixel().0) / self.scale;
        let room = match anchor {
            Anchor::Start => width - x,
            Anchor::Middle => 2.0 * x.min(width - x),
            Anchor::End => x,
        };
        let text = &shortened(text, look.0, room)?;
        let point = self.at((x, y - look.0 * self.text.baseline));
        self.draw_text(point, text, look, (anchor, FontTransform::None))
    }

    /// Text that is centred on the point and reads upwards; its baseline passes through the point.
    ///
    /// # Errors
    /// The backend's message.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), text: &str, look: (f64, RGBColor)) -> Drawn {
        let point = self.at((x - look.0 * self.text.baseline, y));
        self.draw_text(point, text, look, (Anchor::Middle, FontTransform::Rotate270))
    }

    fn draw_text(
        &mut self,
        point: (i32, i32),
        text: &str,
        (em, colour): (f64, RGBColor),
        (anchor, transform): (Anchor, FontTransform),
    ) -> Drawn {
        if text.is_empty() {
            return Ok(());
        }
        let across = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let size = em * self.text.size_per_em * self.scale;
        let font = FontDesc::new(FontFamily::Name(FAMILY), size, FontStyle::Normal)
            .transform(transform)
            .into_text_style(&self.area)
            .color(&colour)
            .pos(Pos::new(across, VPos::Top));
        self.area.draw(&Text::new(text.to_owned(), point, font)).map_err(message)
    }

    /// Puts an image on the canvas.
    pub fn raster(&mut self, place: (f64, f64, f64, f64), pixels: image::RgbImage) {
        self.rasters.push(Raster { place, pixels });
    }
}

/// Width of `text` at size `em`, in logical pixels.
///
/// # Errors
/// The font is not registered.
pub fn text_width(text: &str, em: f64) -> Result<f64, String> {
    // Measured large and divided, because plotters returns whole pixels.
    const FINE: f64 = 20.0;
    let size = em * TextRule::BITMAP.size_per_em * FINE;
    let font = FontDesc::new(FontFamily::Name(FAMILY), size, FontStyle::Normal);
    let (width, _) = font.box_size(text).map_err(|error| format!("{error:?}"))?;
    Ok(f64::from(width) / FINE)
}

/// Width of a column for `names` in small type: that of the widest, and no more than 420; longer ones end in an ellipsis.
///
/// # Errors
/// The font is damaged.
pub fn name_column<'a>(names: impl Iterator<Item = &'a str>) -> Result<f64, String> {
    const MOST: f64 = 420.0;
    super::font::register()?;
    let mut widths = names.map(|name| text_width(name, style::SMALL));
    let widest = widths.try_fold(0.0, |most: f64, width| Ok::<_, String>(most.max(width?)))?;
    Ok(widest.min(MOST))
}

/// `text` at size `em`, cut to `room` logical pixels with an ellipsis.
pub(crate) fn shortened(text: &str, em: f64, room: f64) -> Result<String, String> {
    let mut short = text.to_owned();
    let mut whole = text.to_owned();
    while text_width(&whole, em)? > room && short.pop().is_some() {
        whole = format!("{short}…");
    }
    Ok(whole)
}

fn message<E: std::fmt::Debug>(error: E) -> String {
    format!("{error:?}")
}

/// Cuts a line into dashes; the pattern runs on through its corners.
fn dashes(points: &[(f64, f64)], on: f64, off: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::new();
    let mut current: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        let mut walked = 0.0;
        while length - walked > left {
            walked += left;
            let part = walked / length;
            let corner = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part);
            if drawing {
                current.push(corner);
                pieces.push(std::mem::take(&mut current));
            } else {
                current = vec![corner];
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length - walked;
        if drawing {
            current.push((x1, y1));
        }
    }
    if current.len() > 1 {
        pieces.push(current);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_the_line() {
        let length = |piece: &Vec<(f64, f64)>| -> f64 {
            piece.windows(2).map(|p| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1)).sum()
        };
        let pieces = dashes(&[(0.0, 0.0), (30.0, 40.0), (30.0, 90.0)], 6.0, 4.0);
        let drawn: f64 = pieces.iter().map(length).sum();
        assert!((drawn - 60.0).abs() < 1e-9, "{drawn}");
        assert_eq!(pieces.len(), 10);
    }

    #[test]
    fn text_without_room_ends_in_an_ellipsis() {
        super::super::font::register().unwrap();
        let whole = "Gradient, percentile of a set, one a pixel and step";
        let width = text_width(whole, 10.0).unwrap();
        assert_eq!(shortened(whole, 10.0, width).unwrap(), whole);
        let half = shortened(whole, 10.0, width / 2.0).unwrap();
        assert!(half.starts_with("Gradient, perc") && half.ends_with('…'), "{half}");
        assert!(text_width(&half, 10.0).unwrap() <= width / 2.0);
        let column = name_column(["FID", whole, ""].into_iter()).unwrap();
        assert_eq!(column, text_width(whole, style::SMALL).unwrap());
        let endless = whole.repeat(9);
        assert_eq!(name_column([endless.as_str()].into_iter()).unwrap(), 420.0);
    }

    #[test]
    fn text_grows_with_its_size() {
        super::super::font::register().unwrap();
        let (one, two) =
            (text_width("FID ± SE", 10.0).unwrap(), text_width("FID ± SE", 20.0).unwrap());
        assert!((two / one - 2.0).abs() < 0.02 && one > 40.0 && one < 60.0, "{one} {two}");
    }
}
