//! The crop that ADM, U-ViT and `BayesDiff` train on, and that of EDM.

use super::check_sizes;
use super::kernel::Filter;
use super::levels::pillow_u8;
use crate::error::Result;
use ndarray::{Array3, ArrayView3, s};

/// Crops an 8-bit image `[h, w, c]` to a square of `size` as guided-diffusion's data loader does.
///
/// Halve by the box filter while the shorter side is at least `2 size`, resize the shorter side to `size` by the
/// cubic filter, cut out the centre.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::adm_center_crop;
/// use ndarray::Array3;
/// let image = Array3::from_elem((300, 200, 3), 7_u8);
/// let cropped = adm_center_crop(image.view(), 64)?;
/// assert_eq!(cropped.dim(), (64, 64, 3));
/// assert!(cropped.iter().all(|&v| v == 7));
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn adm_center_crop(image: ArrayView3<'_, u8>, size: usize) -> Result<Array3<u8>> {
    let (height, width, _) = image.dim();
    check_sizes((height, width), (size, size))?;
    let mut image = image.to_owned();
    while image.dim().0.min(image.dim().1) >= 2 * size {
        let (height, width, _) = image.dim();
        image = pillow_u8(image.view(), (height / 2, width / 2), Filter::Box)?;
    }
    let (height, width, _) = image.dim();
    let scale = size as f64 / height.min(width) as f64;
    let to = (scaled(height, scale), scaled(width, scale));
    let image = pillow_u8(image.view(), to, Filter::Bicubic)?;
    let (top, left) = ((to.0 - size) / 2, (to.1 - size) / 2);
    Ok(image.slice(s![top..top + size, left..left + size, ..]).to_owned())
}

/// Crops an 8-bit image `[h, w, c]` to a square of `size` as the data set tool of EDM does with
/// `--transform=center-crop`: cut out the largest centred square, then resize it by the Lanczos filter.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::edm_center_crop;
/// use ndarray::Array3;
/// let image = Array3::from_shape_fn((4, 9, 1), |(_, x, _)| [0_u8, 9][usize::from((2..6).contains(&x))]);
/// let cropped = edm_center_crop(image.view(), 2)?;
/// assert_eq!(cropped.dim(), (2, 2, 1));
/// assert!(cropped.iter().all(|&v| v == 9));
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn edm_center_crop(image: ArrayView3<'_, u8>, size: usize) -> Result<Array3<u8>> {
    let (height, width, _) = image.dim();
    check_sizes((height, width), (size, size))?;
    let side = height.min(width);
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    let square = image.slice(s![top..top + side, left..left + side, ..]);
    pillow_u8(square, (size, size), Filter::Lanczos)
}

/// Python's `round`: halves go to the even neighbour.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a side of an image")]
fn scaled(side: usize, scale: f64) -> usize {
    (side as f64 * scale).round_ties_even() as usize
}
