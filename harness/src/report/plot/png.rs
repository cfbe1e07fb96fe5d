//! PNG files, as small as the encoder makes them.

use image::RgbImage;
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

/// Filters that are tried. Lines on white want none, sheets of enlarged tiles the row above, photographs one chosen row by row.
const FILTERS: [Filter; 4] = [Filter::NoFilter, Filter::Up, Filter::MinEntropy, Filter::Adaptive];

/// Colours that a palette holds.
const PALETTE: usize = 256;

/// The smallest file of these pixels: each filter is tried, with a palette where 256 colours are enough and in grey where
/// there is nothing else. Every one of them decodes to the same pixels.
///
/// # Errors
/// The encoder's message.
///
/// # Examples
/// ```
/// use dubench::report::plot::smallest;
/// use image::{Rgb, RgbImage};
///
/// let pixels = RgbImage::from_fn(64, 64, |x, y| Rgb([if x < y { 200 } else { 10 }, 7, 7]));
/// let file = smallest(&pixels).unwrap();
/// assert!(file.len() < 200);
/// assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8(), pixels);
/// ```
pub fn smallest(pixels: &RgbImage) -> Result<Vec<u8>, String> {
    let forms = Form::all(pixels);
    let ways = forms.iter().flat_map(|form| FILTERS.map(|filter| (form, filter)));
    let sized = |(form, filter)| {
        let size = encoded(pixels, form, filter, Compression::Balanced)?.len();
        Ok((size, form, filter))
    };
    let sizes: Vec<(usize, &Form, Filter)> = ways.map(sized).collect::<Result<_, String>>()?;
    match sizes.into_iter().min_by_key(|(size, ..)| *size) {
        Some((_, form, filter)) => encoded(pixels, form, filter, Compression::High),
        None => Err("there is no way to write it".to_owned()),
    }
}

/// How pixels are written.
struct Form {
    colour: ColorType,
    palette: Option<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Form {
    /// Those that can hold the pixels and may be the smallest.
    fn all(pixels: &RgbImage) -> Vec<Self> {
        let colours = pixels.as_raw().as_chunks::<3>().0;
        if colours.iter().all(|[r, g, b]| r == g && g == b) {
            let bytes = colours.iter().map(|[level, ..]| *level).collect();
            return vec![Self { colour: ColorType::Grayscale, palette: None, bytes }];
        }
        let plain = Self { colour: ColorType::Rgb, palette: None, bytes: pixels.as_raw().clone() };
        let with_palette = indexed(colours).map(|(palette, bytes)| Self {
            colour: ColorType::Indexed,
            palette: Some(palette),
            bytes,
        });
        with_palette.into_iter().chain([plain]).collect()
    }
}

/// A palette in order of luminance, which keeps neighbours of an image near each other, and the place of each pixel in it; `None`
/// for more than 256 colours.
fn indexed(colours: &[[u8; 3]]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut seen: Vec<[u8; 3]> = Vec::new();
    let mut last = None;
    for colour in colours {
        if last == Some(colour) {
            continue;
        }
        last = Some(colour);
        if let Err(place) = seen.binary_search(colour) {
            if seen.len() == PALETTE {
                return None;
            }
            seen.insert(place, *colour);
        }
    }
    let luminance =
        |[r, g, b]: &[u8; 3]| 299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b);
    let mut palette = seen.clone();
    palette.sort_by_key(luminance);
    let place_of = |colour: &[u8; 3]| palette.iter().position(|other| other == colour);
    let places: Vec<u8> = seen
        .iter()
        .map(|colour| place_of(colour).and_then(|place| u8::try_from(place).ok()))
        .collect::<Option<_>>()?;
    let bytes = colours.iter().map(|colour| Some(places[seen.binary_search(colour).ok()?]));
    let bytes = bytes.collect::<Option<_>>()?;
    Some((palette.into_flattened(), bytes))
}

fn encoded(
    pixels: &RgbImage,
    form: &Form,
    filter: Filter,
    compression: Compression,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(form.colour);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(compression);
    // After the compression, which brings a filter of its own.
    encoder.set_filter(filter);
    if let Some(palette) = &form.palette {
        encoder.set_palette(palette.as_slice());
    }
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&form.bytes).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, Rgb};

    use super::*;

    fn back(file: &[u8]) -> RgbImage {
        image::load_from_memory(file).unwrap().to_rgb8()
    }

    fn plain(pixels: &RgbImage) -> usize {
        let mut bytes = Vec::new();
        pixels.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes.len()
    }

    /// A tile as networks make them: smooth, with noise.
    fn tile() -> RgbImage {
        RgbImage::from_fn(32, 32, |x, y| {
            let level = |slope: u32| {
                let mixed = (x * 37 + y * 1009 + slope).wrapping_mul(2_654_435_761);
                let noise = (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519) >> 26;
                u8::try_from((slope * (x + y) + noise) & 255).unwrap()
            };
            Rgb([level(3), level(2), level(4)])
        })
    }

    #[test]
    fn every_form_decodes_to_the_same_pixels() {
        let grey = RgbImage::from_fn(40, 30, |x, y| Rgb([u8::try_from(x * y % 256).unwrap(); 3]));
        let few = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([u8::try_from(x).unwrap(), 9, u8::try_from(y % 6).unwrap()])
        });
        let many = tile();
        for (pixels, colour) in
            [(grey, ColorType::Grayscale), (few, ColorType::Indexed), (many, ColorType::Rgb)]
        {
            assert_eq!(Form::all(&pixels)[0].colour, colour);
            let file = smallest(&pixels).unwrap();
            assert_eq!(back(&file), pixels);
            assert!(file.len() <= plain(&pixels), "{} and {}", file.len(), plain(&pixels));
        }
    }

    #[test]
    fn a_palette_holds_256_colours_and_no_more() {
        let with = |n: u32| {
            RgbImage::from_fn(n, 1, |x, _| {
                Rgb([u8::try_from(x % 256).unwrap(), u8::try_from(x / 256).unwrap(), 1])
            })
        };
        assert_eq!(Form::all(&with(256))[0].colour, ColorType::Indexed);
        assert_eq!(Form::all(&with(257))[0].colour, ColorType::Rgb);
        assert_eq!(back(&smallest(&with(256)).unwrap()), with(256));
    }

    /// Repeated rows and pixels cost next to nothing: four times as wide and high is not sixteen times the bytes.
    #[test]
    fn tiles_enlarged_by_whole_factors_take_little_more_than_they_do() {
        let small = tile();
        let large = image::imageops::resize(&small, 128, 128, image::imageops::FilterType::Nearest);
        let [native, enlarged] = [&small, &large].map(|pixels| smallest(pixels).unwrap().len());
        assert!(enlarged < 2 * native, "{enlarged} and {native}");
    }
}
