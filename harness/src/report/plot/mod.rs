//! Figures. Each is drawn once, generic over the backend, and comes out as SVG and PNG.

pub mod axes;
pub mod canvas;
mod coolwarm;
pub mod correlation;
mod font;
pub mod histogram;
mod pair;
mod png;
pub mod sheet;
pub mod style;
pub mod svg;

use image::RgbImage;
use image::imageops::{self, FilterType};
pub use plotters::prelude::DrawingBackend as Backend;
use plotters::prelude::{BitMapBackend, SVGBackend};

use super::{Artefact, ReportError};
use canvas::{Canvas, Raster, TextRule};
pub use coolwarm::coolwarm;
pub use pair::pair;
pub use png::smallest;

/// SVG units in a logical pixel: plotters rounds to whole units.
const SVG_SCALE: u32 = 10;
/// Pixels of the PNG in a logical pixel.
const PNG_SCALE: u32 = 2;
/// The PNG is drawn twice as large and averaged down: plotters does not smooth thick lines.
const PNG_DRAWN_SCALE: u32 = 2 * PNG_SCALE;

/// A figure that can be drawn on any backend.
pub trait Figure {
    /// File name without extension: `filter-curve`.
    fn name(&self) -> &'static str;
    /// What it shows, in one line.
    fn title(&self) -> String;
    /// Logical width and height.
    fn size(&self) -> (u32, u32);
    /// Draws it.
    ///
    /// # Errors
    /// The backend's message.
    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String>;
}

/// The two files of a figure.
///
/// # Errors
/// [`ReportError::Plot`] where drawing fails.
pub fn files<F: Figure + Sync>(figure: &F) -> Result<[Artefact; 2], ReportError> {
    let failed = |cause| ReportError::Plot { name: figure.name().to_owned(), cause };
    font::register().map_err(failed)?;
    let (svg, png) = rayon::join(|| draw_svg(figure), || draw_png(figure));
    let (svg, png) = (svg.map_err(failed)?, png.map_err(failed)?);
    let name = |extension| format!("plots/{}.{extension}", figure.name());
    Ok([
        Artefact { name: name("svg"), bytes: svg.into_bytes() },
        Artefact { name: name("png"), bytes: png },
    ])
}

fn draw_svg<F: Figure>(figure: &F) -> Result<String, String> {
    let (width, height) = figure.size();
    let mut drawing = String::new();
    let backend = SVGBackend::with_string(&mut drawing, (width * SVG_SCALE, height * SVG_SCALE));
    let mut canvas = Canvas::new(backend, f64::from(SVG_SCALE), TextRule::SVG)?;
    figure.draw(&mut canvas)?;
    let rasters = canvas.finish()?;
    svg::complete(&drawing, (width, height), SVG_SCALE, &figure.title(), &rasters)
}

fn draw_png<F: Figure>(figure: &F) -> Result<Vec<u8>, String> {
    let (width, height) = figure.size();
    let (w, h) = (width * PNG_DRAWN_SCALE, height * PNG_DRAWN_SCALE);
    let mut pixels = vec![0u8; w as usize * h as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut pixels, (w, h));
    let mut canvas = Canvas::new(backend, f64::from(PNG_DRAWN_SCALE), TextRule::BITMAP)?;
    figure.draw(&mut canvas)?;
    let rasters = canvas.finish()?;
    let averaged = average_down(&pixels, w as usize);
    let mut small = RgbImage::from_raw(width * PNG_SCALE, height * PNG_SCALE, averaged)
        .ok_or("the bitmap has another size")?;
    for raster in &rasters {
        put(&mut small, raster);
    }
    smallest(&small)
}

/// Mean over squares of 2 x 2 pixels of `large` `[h, w, 3]`; h and w are even.
fn average_down(large: &[u8], width: usize) -> Vec<u8> {
    let mut small = Vec::with_capacity(large.len() / 4);
    for rows in large.chunks_exact(2 * width * 3) {
        let (upper, lower) = rows.split_at(width * 3);
        for (a, b) in upper.as_chunks::<6>().0.iter().zip(lower.as_chunks::<6>().0) {
            let mean = |i: usize| {
                let sum =
                    u16::from(a[i]) + u16::from(a[i + 3]) + u16::from(b[i]) + u16::from(b[i + 3]);
                // A mean of bytes, rounded, is a byte: the low half of the word.
                ((sum + 2) / 4).to_le_bytes()[0]
            };
            small.extend_from_slice(&[mean(0), mean(1), mean(2)]);
        }
    }
    small
}

fn put(target: &mut RgbImage, raster: &Raster) {
    let (x, y, w, h) = raster.place;
    let scale = f64::from(PNG_SCALE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "inside the canvas"
    )]
    let (w, h) = ((w * scale).round() as u32, (h * scale).round() as u32);
    let stretched = imageops::resize(&raster.pixels, w, h, FilterType::Nearest);
    #[expect(clippy::cast_possible_truncation, reason = "inside the canvas")]
    let (x, y) = ((x * scale).round() as i64, (y * scale).round() as i64);
    imageops::replace(target, &stretched, x, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averaging_down_rounds_the_mean_of_four() {
        let large =
            [0, 10, 255, 2, 20, 255, 9, 9, 9, 9, 9, 9, 1, 30, 255, 4, 41, 255, 9, 9, 9, 9, 9, 9];
        assert_eq!(average_down(&large, 4), [2, 25, 255, 9, 9, 9]);
    }
}
