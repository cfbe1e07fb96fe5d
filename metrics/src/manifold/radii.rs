//! The distance of each point to its k-th nearest neighbour.

use super::blocks::{Block, Cloud, squared_distances};
use rayon::prelude::*;

/// Candidates beyond k that are measured again exactly.
const MARGIN: usize = 8;

/// Squared distance of each row to its k-th nearest other row, exact in f64.
///
/// Candidates come from f32 products, each pair of blocks once; the `k + 8` nearest of them are measured again from the
/// rows themselves.
pub(super) fn squared_radii(cloud: &Cloud<'_, '_>, k: usize) -> Vec<f64> {
    let starts = cloud.starts();
    let found: Vec<Vec<Candidates>> = starts
        .par_iter()
        .with_max_len(1)
        .map(|&start| pairs_from(cloud, start, k + MARGIN))
        .collect();
    // Block b is met by the blocks before it and by itself, always in this order.
    let mut nearest: Vec<Candidates> = Vec::with_capacity(starts.len());
    for (block, lists) in found.into_iter().enumerate() {
        for (offset, list) in lists.into_iter().enumerate() {
            match nearest.get_mut(block + offset) {
                None => nearest.push(list),
                Some(known) => known.iter_mut().zip(&list).for_each(|(n, other)| n.merge(other)),
            }
        }
    }
    let nearest = nearest.concat();
    nearest.par_iter().enumerate().map(|(row, n)| n.kth(cloud, row, k)).collect()
}

/// One list for each row of a block.
type Candidates = Vec<Nearest>;

/// What the block at `start` and those after it find in each other: a list of candidates for each of these blocks.
fn pairs_from(cloud: &Cloud<'_, '_>, start: usize, capacity: usize) -> Vec<Candidates> {
    let block = cloud.block(start);
    let mut own = vec![Nearest::new(capacity); block.len()];
    let mut lists = Vec::new();
    offer_within(&block, &mut own);
    for other_start in cloud.starts().into_iter().filter(|&other| other > start) {
        let other = cloud.block(other_start);
        let mut theirs = vec![Nearest::new(capacity); other.len()];
        let distances = squared_distances(&block, &other);
        for ((j, column), theirs) in distances.col_iter().enumerate().zip(&mut theirs) {
            for ((i, &distance), own) in column.iter().enumerate().zip(&mut own) {
                own.offer(distance, other_start + j);
                theirs.offer(distance, start + i);
            }
        }
        lists.push(theirs);
    }
    lists.insert(0, own);
    lists
}

fn offer_within(block: &Block, nearest: &mut [Nearest]) {
    let distances = squared_distances(block, block);
    for (j, column) in distances.col_iter().enumerate() {
        for ((i, &distance), nearest) in column.iter().enumerate().zip(&mut *nearest) {
            if i != j {
                nearest.offer(distance, block.start + j);
            }
        }
    }
}

/// The few smallest distances seen, the largest of them first to go.
#[derive(Debug, Clone)]
struct Nearest {
    capacity: usize,
    found: Vec<(f32, usize)>,
    worst: f32,
}

impl Nearest {
    fn new(capacity: usize) -> Self {
        Self { capacity, found: Vec::new(), worst: f32::INFINITY }
    }

    #[inline]
    fn offer(&mut self, distance: f32, index: usize) {
        if distance < self.worst {
            self.insert(distance, index);
        }
    }

    fn insert(&mut self, distance: f32, index: usize) {
        let at = self.found.partition_point(|(d, _)| *d <= distance);
        self.found.insert(at, (distance, index));
        self.found.truncate(self.capacity);
        if self.found.len() == self.capacity {
            self.worst = self.found[self.capacity - 1].0;
        }
    }

    fn merge(&mut self, other: &Self) {
        other.found.iter().for_each(|&(distance, index)| self.offer(distance, index));
    }

    fn kth(&self, cloud: &Cloud<'_, '_>, row: usize, k: usize) -> f64 {
        let mut exact: Vec<f64> =
            self.found.iter().map(|&(_, j)| cloud.exact(row, cloud, j)).collect();
        exact.sort_unstable_by(f64::total_cmp);
        exact[k - 1]
    }
}
