//! The distance of each point to its k-th nearest neighbour.

use super::blocks::{Cloud, squared_distances};
use rayon::prelude::*;

/// Candidates beyond k that are measured again exactly.
const MARGIN: usize = 8;

/// Squared distance of each row to its k-th nearest other row, exact in f64.
///
/// Candidates come from f32 products; the `k + 8` nearest of them are measured again from the rows themselves.
pub(super) fn squared_radii(cloud: &Cloud<'_, '_>, k: usize) -> Vec<f64> {
    let radii: Vec<Vec<f64>> = cloud
        .starts()
        .par_iter()
        .with_max_len(1)
        .map(|&start| {
            let rows = cloud.block(start);
            let mut nearest = vec![Nearest::new(k + MARGIN); rows.len()];
            for other_start in cloud.starts() {
                let others = cloud.block(other_start);
                let distances = squared_distances(&rows, &others);
                for (j, column) in distances.col_iter().enumerate() {
                    for (i, &distance) in column.iter().enumerate() {
                        if start + i != other_start + j {
                            nearest[i].offer(distance, other_start + j);
                        }
                    }
                }
            }
            nearest.iter().enumerate().map(|(i, n)| n.kth(cloud, start + i, k)).collect()
        })
        .collect();
    radii.concat()
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
        Self { capacity, found: Vec::with_capacity(capacity + 1), worst: f32::INFINITY }
    }

    #[inline]
    fn offer(&mut self, distance: f32, index: usize) {
        if distance < self.worst {
            let at = self.found.partition_point(|(d, _)| *d <= distance);
            self.found.insert(at, (distance, index));
            self.found.truncate(self.capacity);
            if self.found.len() == self.capacity {
                self.worst = self.found[self.capacity - 1].0;
            }
        }
    }

    fn kth(&self, cloud: &Cloud<'_, '_>, row: usize, k: usize) -> f64 {
        let mut exact: Vec<f64> =
            self.found.iter().map(|&(_, j)| cloud.exact(row, cloud, j)).collect();
        exact.sort_unstable_by(f64::total_cmp);
        exact[k - 1]
    }
}
