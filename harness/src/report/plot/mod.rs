//! Figures. Each is drawn once, generic over the backend, and comes out as SVG and PNG.

pub mod axes;
pub mod canvas;
pub mod correlation;
pub mod filter_curve;
mod font;
pub mod histogram;
pub mod sheet;
pub mod style;
pub mod svg;

use std::io::Cursor;

use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{self, FilterType};
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};

use super::input::ReportInput;
use super::{Artefact, ReportError, frame};
use canvas::{Canvas, Raster, TextRule};

/// SVG units in a logical pixel: plotters rounds to whole units.
const SVG_SCALE: u32 = 10;
/// Pixels of the PNG in a logical pixel.
const PNG_SCALE: u32 = 2;
/// The PNG is drawn this many times larger and averaged down: plotters does not smooth thick lines.
const PNG_OVERSAMPLING: u32 = 2;

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
    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> Result<(), String>;
}

/// All figures that the input has data for.
///
/// # Errors
/// [`ReportError::Value`] for data that do not fit together, [`ReportError::Plot`] where drawing fails.
pub fn all(input: &ReportInput) -> Result<Vec<Artefact>, ReportError> {
    let mut out = Vec::new();
    let order: Vec<&str> = input.scores.columns.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(figure) = filter_curve::FilterCurve::new(&input.curves, &order)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = histogram::Histograms::new(&input.scores)? {
        out.extend(files(&figure)?);
    }
    if let Some(correlations) = frame::correlations(&input.rows)? {
        out.extend(files(&correlation::CorrelationMap::new(correlations)?)?);
    }
    if let Some(figure) = sheet::Sheet::new(&input.exhibits)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
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
    let scale = PNG_SCALE * PNG_OVERSAMPLING;
    let (w, h) = (width * scale, height * scale);
    let mut pixels = vec![0u8; w as usize * h as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut pixels, (w, h));
    let mut canvas = Canvas::new(backend, f64::from(scale), TextRule::BITMAP)?;
    figure.draw(&mut canvas)?;
    let rasters = canvas.finish()?;
    let large = RgbImage::from_raw(w, h, pixels).ok_or("the bitmap has another size")?;
    let mut small = average_down(&large);
    for raster in &rasters {
        put(&mut small, raster);
    }
    let mut png = Vec::new();
    let encoder = PngEncoder::new_with_quality(
        Cursor::new(&mut png),
        CompressionType::Best,
        PngFilter::Adaptive,
    );
    small.write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(png)
}

/// Mean over squares of [`PNG_OVERSAMPLING`] pixels.
fn average_down(large: &RgbImage) -> RgbImage {
    let step = PNG_OVERSAMPLING;
    RgbImage::from_fn(large.width() / step, large.height() / step, |x, y| {
        let mut sum = [0u32; 3];
        for dy in 0..step {
            for dx in 0..step {
                let pixel = large.get_pixel(x * step + dx, y * step + dy).0;
                for (total, part) in sum.iter_mut().zip(pixel) {
                    *total += u32::from(part);
                }
            }
        }
        let n = step * step;
        #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
        image::Rgb(sum.map(|total| ((total + n / 2) / n) as u8))
    })
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
