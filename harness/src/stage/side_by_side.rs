//! Blocks of a stage, several at a time: one open network a thread.
//!
//! # Why networks side by side, and not more threads inside one?
//! Threads inside a network meet at a barrier after every operator, and everything around the network (noise,
//! masks, statistics, files) waits for it. Networks that share nothing keep all cores busy with both. Blocks are
//! named by their sample ids, so which network makes which block changes no digit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::plan::Block;

use super::StageError;

/// Calls `work` for every block, each network with one block at a time. With one network everything runs on
/// the calling thread, in block order.
///
/// # Errors
/// The error of the earliest block that failed. Blocks that others were at are finished, no new one is begun.
pub(super) fn each_block<N: Send>(
    networks: &mut [N],
    blocks: &[Block],
    work: &(dyn Fn(&mut N, &Block) -> Result<(), StageError> + Sync),
) -> Result<(), StageError> {
    let queue = Queue::new(blocks);
    match networks {
        [network] => queue.serve(network, work),
        several => std::thread::scope(|scope| {
            for network in several {
                scope.spawn(|| queue.serve(network, work));
            }
        }),
    }
    queue.close()
}

/// Blocks that wait, and the earliest error.
struct Queue<'a> {
    blocks: &'a [Block],
    next: AtomicUsize,
    failed: AtomicBool,
    first: Mutex<Option<(usize, StageError)>>,
}

impl<'a> Queue<'a> {
    fn new(blocks: &'a [Block]) -> Self {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { blocks, next, failed, first: Mutex::new(None) }
    }

    fn serve<N>(
        &self,
        network: &mut N,
        work: &(dyn Fn(&mut N, &Block) -> Result<(), StageError> + Sync),
    ) {
        while !self.failed.load(Ordering::SeqCst) {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(block) = self.blocks.get(index) else { return };
            if let Err(error) = work(network, block) {
                self.failed.store(true, Ordering::SeqCst);
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(known, _)| index < *known) {
                    *first = Some((index, error));
                }
            }
        }
    }

    fn close(self) -> Result<(), StageError> {
        let first = self.first.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::units::BlockId;

    fn blocks(n: u64) -> Vec<Block> {
        (0..n).map(|id| Block { id: BlockId(id), samples: 8 * id..8 * id + 8 }).collect()
    }

    #[test]
    fn every_block_is_done_once_by_any_number_of_networks() {
        let blocks = blocks(10);
        for n_networks in [1, 2, 3, 20] {
            let done = Mutex::new(Vec::new());
            let mut networks = vec![0_usize; n_networks];
            each_block(&mut networks, &blocks, &|served, block| {
                *served += 1;
                done.lock().unwrap().push(block.id.0);
                Ok(())
            })
            .unwrap();
            let done = done.into_inner().unwrap();
            assert_eq!(done.len(), 10);
            assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), (0..10).collect());
            assert_eq!(networks.iter().sum::<usize>(), 10);
        }
    }

    #[test]
    fn the_error_of_the_earliest_block_ends_the_work() {
        let blocks = blocks(100);
        let begun = AtomicUsize::new(0);
        let refuse = |(): &mut (), block: &Block| {
            begun.fetch_add(1, Ordering::SeqCst);
            if block.id.0 < 3 {
                return Ok(());
            }
            let (stage, done) = ("generate", usize::try_from(block.id.0).unwrap());
            Err(StageError::Interrupted { stage, done, total: 100 })
        };
        let error = each_block(&mut [(), ()], &blocks, &refuse).unwrap_err();
        assert!(matches!(error, StageError::Interrupted { done: 3, .. }), "{error}");
        assert!(begun.into_inner() <= 5);
    }
}
