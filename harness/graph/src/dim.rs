//! How the length of an axis follows the batch.

/// Length of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The same for each batch size.
    Fixed(usize),
    /// So many times the batch size (1 for most, heads for attention by `[batch * heads, ..]`).
    Batch(usize),
    /// Moved otherwise.
    Other,
}

/// Axis as a position from the front.
pub(crate) fn axis(axis: i64, rank: usize) -> usize {
    let rank = i64::try_from(rank).unwrap_or(i64::MAX);
    usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX)
}
