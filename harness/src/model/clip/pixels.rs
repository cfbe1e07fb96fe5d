//! From an image to what CLIP sees.

use dubench_metrics::resize::{Filter, pillow_u8};
use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, s};

use crate::config::pipeline::ClipPixels;

/// Images `[n, 3, H, W]` as `[n, 3, side, side]`.
///
/// # Errors
/// What is wrong with images without pixels.
pub(super) fn prepared(
    images: &ArrayView4<'_, u8>,
    how: &ClipPixels,
) -> Result<Array4<f32>, String> {
    let mut out = Array4::zeros((images.dim().0, 3, how.side, how.side));
    for (mut row, image) in out.outer_iter_mut().zip(images.outer_iter()) {
        row.assign(&one(image, how)?);
    }
    Ok(out)
}

/// As `CLIPImageProcessor` on Pillow: bicubic with antialiasing to 8-bit levels, the longer side cut down to whole pixels; the
/// centre, its corner rounded down; then f32.
fn one(image: ArrayView3<'_, u8>, how: &ClipPixels) -> Result<Array3<f32>, String> {
    let image = image.permuted_axes([1, 2, 0]);
    let (height, width, _) = image.dim();
    let to = |length: usize, other: usize| {
        if length <= other { how.shortest } else { how.shortest * length / other.max(1) }
    };
    let size = (to(height, width), to(width, height));
    let levels = pillow_u8(image.as_standard_layout().view(), size, Filter::Bicubic)
        .map_err(|error| error.to_string())?;
    let (top, left) = ((size.0 - how.side) / 2, (size.1 - how.side) / 2);
    let centre = levels.slice(s![top..top + how.side, left..left + how.side, ..]);
    let mut out = Array3::zeros((3, how.side, how.side));
    for (channel, mut plane) in out.outer_iter_mut().enumerate() {
        let (mean, std) = (how.mean[channel], how.std[channel]);
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
        let value = |level: &u8| ((f64::from(*level) * how.factor) as f32 - mean) / std;
        plane.assign(&centre.index_axis(Axis(2), channel).map(value));
    }
    Ok(out)
}
