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
