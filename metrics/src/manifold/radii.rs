//! The distance of each point to its k-th nearest neighbour.

use super::blocks::{Cloud, squared_distances};
use super::scan::candidates;
use rayon::prelude::*;

/// Candidates beyond k that are measured again exactly.
const MARGIN: usize = 8;

/// Squared distance of each row to its k-th nearest other row, exact in f64.
///
/// Candidates come from f32 products, each pair of blocks once; the `k + 8` nearest of them are measured again from the
/// rows themselves.
pub(super) fn squared_radii(cloud: &Cloud<'_, '_>, k: usize) -> Vec<f64> {
    let starts = cloud.starts();
    let lists: Vec<Vec<Candidates>> = starts
        .par_iter()
        .with_max_len(1)
        .map(|&start| pairs_from(cloud, start, k + MARGIN))
        .collect();
    // Block b is met by itself and by the blocks before it, always in this order.
    let mut nearest: Vec<Candidates> = Vec::with_capacity(starts.len());
    for (block, lists) in lists.into_iter().enumerate() {
        for (offset, list) in lists.into_iter().enumerate() {
            match nearest.get_mut(block + offset) {
                None => nearest.push(list),
                Some(known) => known.merge(&list),
            }
        }
    }
    let found = nearest.into_iter().flat_map(|block| block.found).collect::<Vec<_>>();
    found.par_iter().enumerate().map(|(row, found)| kth(cloud, row, found, k)).collect()
}

/// The nearest rows of each row of a block.
#[derive(Debug, Clone)]
struct Candidates {
    /// The few smallest distances seen of each row, ascending.
    found: Vec<Vec<(f32, usize)>>,
    /// The largest of them, once there are enough: the bound of what is worth a look.
    worst: Vec<f32>,
    capacity: usize,
}

impl Candidates {
    fn new(rows: usize, capacity: usize) -> Self {
        Self { found: vec![Vec::new(); rows], worst: vec![f32::INFINITY; rows], capacity }
    }

    #[inline]
    fn offer(&mut self, row: usize, distance: f32, index: usize) {
        if distance < self.worst[row] {
            let found = &mut self.found[row];
            let at = found.partition_point(|(d, _)| *d <= distance);
            found.insert(at, (distance, index));
            found.truncate(self.capacity);
            if found.len() == self.capacity {
                self.worst[row] = found[self.capacity - 1].0;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (row, found) in other.found.iter().enumerate() {
            found.iter().for_each(|&(distance, index)| self.offer(row, distance, index));
        }
    }
}

/// What the block at `start` and those after it find in each other: the candidates of each of these blocks.
fn pairs_from(cloud: &Cloud<'_, '_>, start: usize, capacity: usize) -> Vec<Candidates> {
    let block = cloud.block(start);
    let mut own = Candidates::new(block.len(), capacity);
    let mut lists = Vec::new();
    let mut near = Vec::new();
    for other_start in cloud.starts().into_iter().filter(|&other| other >= start) {
        let other = cloud.block(other_start);
        let mut theirs = Candidates::new(other.len(), capacity);
        let distances = squared_distances(&block, &other);
        for j in 0..other.len() {
            let column = distances.col_as_slice(j);
            // A block beside itself has each pair twice: once as own, once as theirs.
            let bound = if other_start == start { f32::NEG_INFINITY } else { theirs.worst[j] };
            candidates(column, (&own.worst, 0.0), bound, &mut near);
            for &i in near.iter().filter(|&&i| start + i != other_start + j) {
                own.offer(i, column[i], other_start + j);
                if other_start != start {
                    theirs.offer(j, column[i], start + i);
                }
            }
        }
        lists.push(theirs);
    }
    // The block beside itself has left the first list empty.
    lists[0] = own;
    lists
}

fn kth(cloud: &Cloud<'_, '_>, row: usize, found: &[(f32, usize)], k: usize) -> f64 {
    let mut exact: Vec<f64> = found.iter().map(|&(_, j)| cloud.exact(row, cloud, j)).collect();
    exact.sort_unstable_by(f64::total_cmp);
    exact[k - 1]
}
