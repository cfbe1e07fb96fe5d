//! Sparsification: does removing the uncertain pixels remove the error? (AUSE, AURG)
//!
//! Remove the most uncertain fraction x of the pixels and look at the root mean squared error of the rest, `c(x)`.
//! The oracle removes by the error itself, `c*(x)`; chance leaves the error where it is, `c(0) = RMSE`. Then
//! `AUSE = int c - c*` (0 for a perfect ranking) and `AURG = int c(0) - c` (0 for chance) over x in [0, 1]
//! (Ilg et al. 2018, arXiv:1802.07095; Poggi et al. 2020, arXiv:2005.06209). Their sum, `RMSE - int c*`, depends
//! on the error alone.
//!
//! Which preset? [`Preset::Exact`] for new work: no grid, and ties do not depend on their order. [`Preset::MonoUncertainty`]
//! and [`Preset::TorchUncertainty`] to stand beside numbers of these tools, which differ by construction (RMSE against
//! a normalised mean error). Which pool? [`Pool::Image`] asks whether the map is right within an image, [`Pool::All`]
//! also whether images can be told apart; the script released with arXiv:2412.00205 pools.

mod authors;
mod curve;
mod exact;
mod interval;
mod masked;
mod options;
mod order;
mod ranking;

pub use authors::authors_code_error;
pub use curve::sparsification;
pub use masked::{MaskedSparsification, sparsification_ignoring_nan};
pub use options::{Pool, Preset, Sparsification, SparsificationCurve, SparsificationOptions};
