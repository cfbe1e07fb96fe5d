//! Does throwing away the images of high uncertainty help?
//!
//! A filter study ranks one pool of generated images by a score, keeps `k` of `n`, and asks how the Fréchet
//! distance of the kept ones compares with that of random `k`-subsets of the same pool (arXiv:2412.00205,
//! Table 1). One random subset is not a baseline: here it is the distribution over many.

mod leave_out;
mod pool;
mod ranking;
mod study;

pub use leave_out::{jackknife_se, leave_out_inf};
pub use study::{CurvePoint, FilterOutcome, FilterStudy, RandomNull};
