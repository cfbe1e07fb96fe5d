//! Precision, recall, density and coverage: overlap of the supports of two sets.
//!
//! The support of a set is the union of balls around its points that reach to the k-th nearest neighbour
//! (Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797). With `r_k(x)` that reach:
//!
//! | number | definition | reads |
//! |---|---|---|
//! | precision | share of fake y with `d(x, y) <= r_k(x)` for some real x | are images believable? |
//! | recall | share of real x with `d(x, y) <= r_k(y)` for some fake y | is everything there? |
//! | density | `1 / (k n) sum_y #{x: d(x, y) < r_k(x)}` | as precision, not ruled by one far real image; may exceed 1 |
//! | coverage | share of real x with `d(x, y) < r_k(x)` for some fake y | as recall, not ruled by one far fake image |
//!
//! All four grow with the number of rows on the other side, so compare at equal n and m. Precision of two samples of one
//! distribution is not 1. FID mixes both questions; these keep them apart.
//!
//! Of single fake points, by the real balls around them: [`realism`] and [`rarity`].
//!
//! Work is `2 d` operations a pair: real beside fake once, and each set beside itself by halves. No `n x m` matrix is held,
//! and no copy of a set; every decision is that of exact arithmetic, because what f32 leaves open is measured again in f64.

mod blocks;
mod overlap;
mod radii;
mod realism;
mod scan;
mod study;

pub use overlap::{Convention, Overlap, OverlapOptions, overlap};
pub use realism::{rarity, realism};
pub use study::OverlapStudy;
