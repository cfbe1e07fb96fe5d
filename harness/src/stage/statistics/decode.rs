//! One image file as pixels: its content decides, not its name.
//!
//! Levels are those that Pillow's `Image.open(..).convert("RGB")` gives, bit for bit, for PNG, BMP, TIFF and WebP (in every
//! colour mode, Pillow 13.0.0, `folder/tests.rs`). JPEG decoders round differently. Beside Pillow's libjpeg-turbo, on
//! pictures of shapes and noise:
//!
//! | JPEG | largest difference, in levels | mean |
//! |---|---|---|
//! | grey | 1 | 0.009 |
//! | 4:4:4, quality 75 to 100, also progressive | 2 | 0.016 to 0.023 |
//! | 4:2:2, quality 90 | 3 | 0.19 |
//! | 4:2:0, quality 50 and 95 | 3 | 0.36 to 0.39 |
//!
//! So features of JPEG files are not those of a Python tool to the last digit, while those of PNG files are.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage,
};

use super::StatisticsError;
use super::jpeg::{self, Obstacle};

/// Formats that are read.
pub(super) const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

const DEEP: &str =
    "it has 16 bits a channel (or 12), which tools cut to 8 in different ways: save it with 8";
const CMYK: &str = "it is CMYK, of which programs make different RGB: save it as RGB";

/// Bytes that one decoded image may take: 350 million pixels.
const MOST_BYTES: u64 = 1 << 30;

/// A decoded image.
pub(super) struct Picture {
    /// Its levels.
    pub(super) pixels: RgbImage,
    /// Whether its EXIF data ask viewers to turn it. It is not turned: neither do the loaders of guided-diffusion, EDM and
    /// torchvision, so the published networks and statistics saw it as it lies.
    pub(super) turned: bool,
}

/// Decodes one image; `path` is what messages call it.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Picture, StatisticsError> {
    let format = image::guess_format(bytes).ok().filter(|format| FORMATS.contains(format));
    let Some(format) = format else {
        return Err(StatisticsError::damaged(path, "its content is no image"));
    };
    if format == ImageFormat::Jpeg {
        check_jpeg(path, bytes)?;
    }
    let fail = |error: ImageError| failed(path, error);
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder = reader.into_decoder().map_err(fail)?;
    check_levels(path, decoder.original_color_type())?;
    if decoder.total_bytes() > MOST_BYTES {
        let (w, h) = decoder.dimensions();
        let message = format!(
            "it says that it has {w} x {h} pixels, more than the {MOST_BYTES} bytes that one image may take"
        );
        return Err(StatisticsError::input(path, message));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = DynamicImage::from_decoder(decoder).map_err(fail)?.to_rgb8();
    Ok(Picture { pixels, turned: orientation != Orientation::NoTransforms })
}

fn check_jpeg(path: &Path, bytes: &[u8]) -> Result<(), StatisticsError> {
    match jpeg::obstacle(bytes) {
        None => Ok(()),
        Some(Obstacle::CutShort) => {
            let message = "it ends before its end marker: copy or write it again";
            Err(StatisticsError::damaged(path, message))
        }
        Some(Obstacle::Cmyk) => Err(StatisticsError::input(path, CMYK)),
        Some(Obstacle::Deep) => Err(StatisticsError::input(path, DEEP)),
    }
}

/// Refuses levels for which there is no one way to 8 bits.
fn check_levels(path: &Path, color: ExtendedColorType) -> Result<(), StatisticsError> {
    use ExtendedColorType as Color;
    let what = match color {
        Color::L16 | Color::La16 | Color::Rgb16 | Color::Rgba16 => DEEP,
        Color::Rgb32F | Color::Rgba32F => {
            "its levels are floating point, which have no one way to 8 bits: save it with 8"
        }
        Color::Cmyk8 | Color::Cmyk16 => CMYK,
        _ => return Ok(()),
    };
    Err(StatisticsError::input(path, what))
}

fn failed(path: &Path, error: ImageError) -> StatisticsError {
    match error {
        ImageError::Unsupported(error) => {
            StatisticsError::input(path, format!("{error}: save it as an 8-bit PNG"))
        }
        ImageError::Limits(error) => {
            StatisticsError::input(path, format!("{error}: save it smaller"))
        }
        error => StatisticsError::damaged(path, format!("{error}: copy or write it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of one pixel whose header says that it has `side` x `side`.
    fn claiming(side: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::new(1, 1).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let mut bytes = bytes.into_inner();
        // Signature, length, then `IHDR`, width, height and five bytes more, of which the checksum is.
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        bytes
    }

    #[test]
    fn a_header_that_claims_more_than_an_image_may_take_is_refused_before_memory_is_asked_for() {
        assert!(decode(Path::new("a.png"), &claiming(1)).is_ok());
        let error = decode(Path::new("a.png"), &claiming(100_000)).err().unwrap();
        let message = error.to_string();
        assert!(message.contains("a.png") && message.contains("100000 x 100000"), "{message}");
    }
}
