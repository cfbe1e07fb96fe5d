//! What stages tell of their progress. The command line shows it; nothing here prints.

/// Listens to a stage.
pub trait Progress: Sync {
    /// A stage begins: `total` images, of which `done` were there before.
    fn begin(&self, stage: &str, total: u64, done: u64);

    /// `n` more images are done.
    fn advance(&self, n: u64);

    /// The stage ends, in whatever way.
    fn end(&self);
}

/// Does not listen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total: u64, _done: u64) {}

    fn advance(&self, _n: u64) {}

    fn end(&self) {}
}
