//! Resizing exactly as the named tools do it.
//!
//! FID moves by more than its standard error when only the resize changes, so each convention is here under the
//! name of the tool that has it:
//!
//! | function | tool | rule |
//! |---|---|---|
//! | [`bilinear`] with [`Grid::HalfPixel`] | `PyTorch` `interpolate(mode="bilinear")`: pytorch-fid | half-pixel centres, no antialias |
//! | [`bilinear`] with [`Grid::Corner`] | `TensorFlow` 1: torch-fidelity, ADM, EDM | `source = i * in / out` |
//! | [`bilinear_antialias`] | `PyTorch` with `antialias=True`: torchmetrics | half-pixel, support grows when shrinking |
//! | [`pillow_f32`] | Pillow mode `F`: clean-fid | box, triangle, cubic or Lanczos, f64 weights |
//! | [`pillow_u8`] | Pillow mode `RGB`: data preparation | 22-bit fixed point, 8-bit intermediate |
//! | [`adm_center_crop`] | guided-diffusion's data loader | halve by box, then cubic, then crop |
//! | [`edm_center_crop`] | the data set tool of EDM, `--transform=center-crop` | crop the square, then Lanczos |

mod crop;
mod kernel;
mod levels;
mod linear;
mod pillow;
mod preprocess;
mod separable;
mod torch;

pub use crop::{adm_center_crop, edm_center_crop};
pub use kernel::Filter;
pub use levels::pillow_u8;
pub use linear::{Grid, bilinear};
pub use pillow::{bilinear_antialias, pillow_f32};
pub use preprocess::{INCEPTION_SIZE, Layout, Preprocess};

use crate::error::{MetricError, Result};

/// Refuses an image or a target without pixels.
fn check_sizes(from: (usize, usize), to: (usize, usize)) -> Result<()> {
    if from.0 == 0 || from.1 == 0 || to.0 == 0 || to.1 == 0 {
        return Err(MetricError::out_of_range(
            "the size of a resize",
            format!("{}x{} to {}x{}", from.0, from.1, to.0, to.1),
            "at least one pixel on each side",
        ));
    }
    Ok(())
}
