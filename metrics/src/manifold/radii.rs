//! The distance of each point to its k-th nearest neighbour.

use super::blocks::{BLOCK, Cloud, TALL};
use super::scan::{Distances, panels_of};
use crate::gemm::Panels;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Candidates beyond k that are measured again exactly.
const MARGIN: usize = 8;

/// Blocks that one task compares with another one: enough to pack that one once, few enough to share the work evenly.
const GROUP: usize = 4;

/// Squared distance of each row to its k-th nearest other row, exact in f64.
///
/// Candidates come from f32 products, each pair of blocks once; the `k + 8` nearest of them are measured again from the
/// rows themselves. Where rounding could have hidden a nearer row from them, all rows are.
pub(super) fn squared_radii(cloud: &Cloud<'_, '_>, k: usize) -> Vec<f64> {
    let starts = cloud.starts();
    let nearest: Vec<Mutex<Candidates>> = starts
        .iter()
        .map(|&start| Mutex::new(Candidates::new(cloud.norms(start).len(), k + MARGIN)))
        .collect();
    let tasks: Vec<(usize, usize)> = (0..starts.len())
        .flat_map(|a| (a..starts.len()).step_by(GROUP).map(move |b| (a, b)))
        .collect();
    tasks.par_iter().with_max_len(1).for_each_init(Distances::default, |distances, &(a, b)| {
        let tall = cloud.pack_tall(starts[a]);
        for b in b..starts.len().min(b + GROUP) {
            compare(cloud, (a, &tall), b, &nearest, distances);
        }
    });
    let found: Vec<Candidates> = nearest
        .into_iter()
        .map(|n| n.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect();
    (0..cloud.n())
        .into_par_iter()
        .map(|row| kth(cloud, row, (&found[row / BLOCK], row % BLOCK), k))
        .collect()
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

    /// None found yet, to be merged into `known`: what is farther than all of these need not be found again.
    fn beside(known: &Mutex<Self>) -> Self {
        let known = lock(known);
        let found = vec![Vec::new(); known.found.len()];
        Self { found, worst: known.worst.clone(), capacity: known.capacity }
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

fn lock(candidates: &Mutex<Candidates>) -> std::sync::MutexGuard<'_, Candidates> {
    candidates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the blocks `a` and `b` find in each other.
fn compare(
    cloud: &Cloud<'_, '_>,
    (a, tall): (usize, &Panels<f32, TALL>),
    b: usize,
    nearest: &[Mutex<Candidates>],
    distances: &mut Distances,
) {
    let (start_a, start_b) = (a * BLOCK, b * BLOCK);
    let short = cloud.pack_short(start_b);
    distances.compute((tall, cloud.norms(start_a)), (&short, cloud.norms(start_b)), cloud.dim());
    let mut of_a = Candidates::beside(&nearest[a]);
    let mut of_b = Candidates::beside(&nearest[b]);
    let mut near = Vec::new();
    let mut bounds = panels_of(&of_a.worst, f32::NEG_INFINITY);
    for j in 0..cloud.norms(start_b).len() {
        // A block beside itself has each pair twice: once in each row.
        let bound = if a == b { f32::NEG_INFINITY } else { of_b.worst[j] };
        distances.near(j, (&bounds, 0.0), bound, &mut near);
        for &(i, distance) in near.iter().filter(|&&(i, _)| start_a + i != start_b + j) {
            of_a.offer(i, distance, start_b + j);
            bounds[i / TALL][i % TALL] = of_a.worst[i];
            if a != b {
                of_b.offer(j, distance, start_a + i);
            }
        }
    }
    lock(&nearest[a]).merge(&of_a);
    lock(&nearest[b]).merge(&of_b);
}

/// The exact k-th smallest distance of a row.
fn kth(cloud: &Cloud<'_, '_>, row: usize, (candidates, at): (&Candidates, usize), k: usize) -> f64 {
    let found = &candidates.found[at];
    let smallest = |indices: &mut dyn Iterator<Item = usize>| {
        let mut exact: Vec<f64> = indices.map(|j| cloud.exact(row, cloud, j)).collect();
        *exact.select_nth_unstable_by(k - 1, f64::total_cmp).1
    };
    let squared_radius = smallest(&mut found.iter().map(|&(_, j)| j));
    // What was not found is at least this far away: `worst` is infinite where all was found.
    let norms = cloud.norm(row) + cloud.largest_norm();
    let excluded = f64::from(candidates.worst[at]) - cloud.rounding(norms);
    if squared_radius == 0.0 || squared_radius <= excluded {
        return squared_radius;
    }
    smallest(&mut (0..cloud.n()).filter(|&j| j != row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Every distance, sorted.
    fn plain(rows: &Array2<f64>, k: usize) -> Vec<f64> {
        let radius = |i: usize| {
            let mut all: Vec<f64> = (0..rows.nrows())
                .filter(|&j| j != i)
                .map(|j| (0..rows.ncols()).map(|k| (rows[[i, k]] - rows[[j, k]]).powi(2)).sum())
                .collect();
            all.sort_by(f64::total_cmp);
            all[k - 1]
        };
        (0..rows.nrows()).map(radius).collect()
    }

    fn assert_exact(rows: &Array2<f64>, k: usize) {
        let centre = vec![0.0; rows.ncols()];
        let cloud = Cloud::new(rows.into(), &centre, "rows", k + 1).unwrap();
        for (ours, plain) in squared_radii(&cloud, k).iter().zip(plain(rows, k)) {
            assert!((ours - plain).abs() <= 1e-12 * plain, "{ours} {plain}");
        }
    }

    fn noise(i: usize, j: usize) -> f64 {
        (libm::sin(12.9 * i as f64 + 78.2 * j as f64) * 43_758.5).rem_euclid(1.0)
    }

    #[test]
    fn radii_are_exact_over_several_blocks() {
        for n in [12, 1024, 1100] {
            assert_exact(&Array2::from_shape_fn((n, 5), |(i, j)| noise(i, j)), 4);
        }
    }

    #[test]
    fn radii_are_exact_in_tight_clusters_far_apart() {
        // f32 cannot tell the points of a cluster apart: 1e-6 beside norms of 2e6.
        let far = |i: usize| if i.is_multiple_of(2) { 1000.0 } else { -1000.0 };
        assert_exact(&Array2::from_shape_fn((120, 3), |(i, j)| far(i) + 1e-3 * noise(i, j)), 3);
    }

    #[test]
    fn radii_of_equal_rows_are_zero() {
        let rows = Array2::from_shape_fn((60, 3), |(i, j)| noise(i / 20, j));
        assert_exact(&rows, 5);
    }
}
