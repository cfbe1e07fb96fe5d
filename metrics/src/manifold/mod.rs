//! Precision, recall, density and coverage: overlap of the supports of two sets.
//!
//! The support of a set is the union of balls around its points that reach to the k-th nearest neighbour
//! (Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797).

mod blocks;
mod overlap;
mod radii;
mod scan;

pub use overlap::{Convention, Overlap, OverlapOptions, overlap};
