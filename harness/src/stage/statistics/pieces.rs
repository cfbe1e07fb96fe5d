//! Reading ahead: one thread reads the pieces of a data set in order, another one works on them.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use ndarray::Array4;

use super::{BLOCK_IMAGES, ImageSource, PIECE_IMAGES, StatisticsError};

/// Pieces that may wait: the network never starves while one is decoded, and memory holds this many and two more.
const AHEAD: usize = 2;

/// Runs of images, or why there are none.
type Piece = Result<Vec<Array4<u8>>, StatisticsError>;

/// The pieces of a data set, in order; no piece spans two blocks.
#[derive(Debug)]
pub(super) struct Pieces {
    ready: Receiver<Piece>,
}

impl Pieces {
    /// The next piece.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn next_piece(&mut self) -> Piece {
        // The reader sends every piece up to an error, and ends without a word only where it panics, which the scope passes on.
        self.ready.recv().unwrap_or_else(|_| {
            Err(StatisticsError::input(Path::new("images"), "their reader ended too early"))
        })
    }
}

/// Calls `work` with the pieces of `source`, which a thread of its own reads.
///
/// # Errors
/// Those of `work`.
pub(super) fn read_ahead<T>(
    source: &mut dyn ImageSource,
    work: impl FnOnce(&mut Pieces) -> Result<T, StatisticsError>,
) -> Result<T, StatisticsError> {
    let (sender, ready) = sync_channel(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let n = source.len();
            for block in (0..n).step_by(BLOCK_IMAGES) {
                let end = (block + BLOCK_IMAGES).min(n);
                for start in (block..end).step_by(PIECE_IMAGES) {
                    let piece = source.read_runs(start..(start + PIECE_IMAGES).min(end));
                    let failed = piece.is_err();
                    // Nobody waits any more where the work has failed.
                    if sender.send(piece).is_err() || failed {
                        return;
                    }
                }
            }
        });
        work(&mut Pieces { ready })
    })
}
