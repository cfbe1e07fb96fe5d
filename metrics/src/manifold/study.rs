//! Precision, recall, density and coverage of many subsets of one pool.

use super::blocks::{Cloud, squared_distance};
use super::overlap::{Counts, Overlap, OverlapOptions, mean_row};
use super::radii::squared_radii;
use crate::error::{MetricError, Result, at_least, same_length};
use crate::features::Features;
use crate::rng::Subsets;
use rayon::prelude::*;

/// Nearest neighbours of a fake row that are kept beyond k: so many may be missing from a subset before all rows are asked.
const MARGIN: usize = 29;

/// A pool of fake rows, prepared for [`overlap`](super::overlap()) of many of its subsets.
///
/// Real balls do not depend on the subset, and of fake balls all that can matter is kept: each row's nearest neighbours in the
/// pool and the real rows as far as the last of them. So a subset costs no distance, unless almost all neighbours of one of
/// its rows are gone. Every number is that of [`overlap`](super::overlap()) over the rows of the subset.
///
/// Distances are f64, three times `n m + n n` operations a dimension once. Memory beside the rows: some tens of numbers a row.
///
/// # Examples
/// ```
/// use dubench_metrics::manifold::{Convention, OverlapOptions, OverlapStudy, overlap};
/// use ndarray::{Array2, Axis};
/// let rows = |n: usize, shift: f64| {
///     Array2::from_shape_fn((n, 3), |(i, j)| ((i + 1) as f64 * (j as f64 + 2.0).sqrt()).fract() + shift)
/// };
/// let (pool, real) = (rows(60, 0.1), rows(50, 0.0));
/// let options = OverlapOptions { convention: Convention::Adm, k: 3 };
/// let kept: Vec<usize> = (0..60).step_by(2).collect();
/// let study = OverlapStudy::new(&pool, &real, &options)?;
/// let alone = overlap(&pool.select(Axis(0), &kept), &real, &options)?;
/// assert_eq!(study.sets(&[kept])?, [alone]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug)]
pub struct OverlapStudy<'a, 'b> {
    pool: Features<'a>,
    real: Features<'b>,
    options: OverlapOptions,
    rows: Vec<Row>,
}

/// What can matter of one fake row.
#[derive(Debug)]
struct Row {
    /// Squared distance and number of the nearest other rows of the pool, ascending.
    neighbours: Vec<(f64, usize)>,
    /// Real rows whose ball holds it.
    balls: Vec<usize>,
    /// Squared distance and number of the real rows no farther than the last neighbour.
    near: Vec<(f64, usize)>,
}

impl<'a, 'b> OverlapStudy<'a, 'b> {
    /// Prepares `pool` `[n, d]` against `real` `[m, d]`.
    ///
    /// # Errors
    /// Those of [`overlap`](super::overlap()).
    pub fn new(
        pool: impl Into<Features<'a>>,
        real: impl Into<Features<'b>>,
        options: &OverlapOptions,
    ) -> Result<Self> {
        let (pool, real) = (pool.into(), real.into());
        same_length("the features of the fake set", pool.dim(), real.dim())?;
        if options.k == 0 {
            return Err(MetricError::out_of_range("k of the nearest neighbour", 0, "at least 1"));
        }
        real.check_finite("the real set")?;
        pool.check_finite("the fake set")?;
        at_least("the fake set", pool.n(), options.k + 1)?;
        let centre = mean_row(real);
        let cloud = Cloud::new(real, &centre, "the real set", options.k + 1)?;
        let real_radii = squared_radii(&cloud, options.k);
        let row = |row: usize| Row::new((pool, row), (real, &real_radii), options);
        let rows = (0..pool.n()).into_par_iter().map(row).collect();
        Ok(Self { pool, real, options: *options, rows })
    }

    /// The four numbers of each set of rows of the pool.
    ///
    /// # Errors
    /// [`MetricError::TooFewSamples`] for a set of `k` rows or fewer, [`MetricError::OutOfRange`] for a row that the pool does
    /// not have.
    pub fn sets(&self, sets: &[Vec<usize>]) -> Result<Vec<Overlap>> {
        sets.par_iter().with_max_len(1).map(|rows| self.set(rows)).collect()
    }

    /// The four numbers of random subsets of `keep` rows: the subsets that
    /// [`FilterStudy::random_null`](crate::FilterStudy::random_null) draws from the same seed.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] unless `k < keep <= n`.
    pub fn random(&self, keep: usize, permutations: usize, seed: u64) -> Result<Vec<Overlap>> {
        let n = self.rows.len();
        if !(self.options.k + 1..=n).contains(&keep) {
            let accepted = format!("{} to the {n} images of the pool", self.options.k + 1);
            return Err(MetricError::out_of_range("the number of images to keep", keep, accepted));
        }
        let subsets = Subsets::new(seed);
        let drawn: Vec<Vec<usize>> =
            (0..permutations).map(|index| subsets.draw(index, n, keep)).collect();
        self.sets(&drawn)
    }

    fn set(&self, rows: &[usize]) -> Result<Overlap> {
        at_least("a set of images", rows.len(), self.options.k + 1)?;
        let mut kept = vec![false; self.rows.len()];
        for &row in rows {
            let Some(flag) = kept.get_mut(row) else {
                let accepted = format!("below the {} images of the pool", self.rows.len());
                return Err(MetricError::out_of_range("a row of the pool", row, accepted));
            };
            *flag = true;
        }
        let m = self.real.n();
        let (mut recalled, mut covered) = (vec![false; m], vec![false; m]);
        let mut balls = Vec::with_capacity(rows.len());
        for &row in rows {
            let own = &self.rows[row];
            balls.push(own.balls.len());
            own.balls.iter().for_each(|&i| covered[i] = true);
            self.recall(row, &kept, &mut recalled);
        }
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
        let (recalled, covered) = (count(&recalled), count(&covered));
        let balls = balls.into_iter().map(|n| n as f64).collect();
        Ok(Counts { balls, recalled, covered, n_real: m }.overlap(self.options.k))
    }

    /// Marks the real rows inside the ball of a kept row.
    fn recall(&self, row: usize, kept: &[bool], recalled: &mut [bool]) {
        let (k, inside) = (self.options.k, |d, r| self.options.convention.inside(d, r));
        let own = &self.rows[row];
        let radius = own.neighbours.iter().filter(|(_, j)| kept[*j]).nth(k - 1);
        if let Some(&(radius, _)) = radius {
            let near = own.near.iter().filter(|(distance, _)| inside(*distance, radius));
            near.for_each(|&(_, i)| recalled[i] = true);
            return;
        }
        let others = (0..self.rows.len()).filter(|&j| kept[j] && j != row);
        let mut all: Vec<f64> =
            others.map(|j| squared_distance(self.pool, row, self.pool, j)).collect();
        let radius = *all.select_nth_unstable_by(k - 1, f64::total_cmp).1;
        for (i, recalled) in recalled.iter_mut().enumerate().filter(|(_, recalled)| !**recalled) {
            *recalled = inside(squared_distance(self.pool, row, self.real, i), radius);
        }
    }
}

impl Row {
    fn new(
        (pool, row): (Features<'_>, usize),
        (real, real_radii): (Features<'_>, &[f64]),
        options: &OverlapOptions,
    ) -> Self {
        let others = (0..pool.n()).filter(|&j| j != row);
        let mut neighbours: Vec<(f64, usize)> =
            others.map(|j| (squared_distance(pool, row, pool, j), j)).collect();
        let depth = (options.k + MARGIN).min(neighbours.len());
        let nearer = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0);
        neighbours.select_nth_unstable_by(depth - 1, nearer);
        neighbours.truncate(depth);
        neighbours.sort_by(nearer);
        let reach = neighbours[depth - 1].0;
        let (mut balls, mut near) = (Vec::new(), Vec::new());
        for (i, radius) in real_radii.iter().enumerate() {
            let distance = squared_distance(pool, row, real, i);
            if options.convention.inside(distance, *radius) {
                balls.push(i);
            }
            if distance <= reach {
                near.push((distance, i));
            }
        }
        Self { neighbours, balls, near }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifold::{Convention, overlap};
    use ndarray::{Array2, Axis};

    fn weyl(n: usize, shift: f64) -> Array2<f64> {
        Array2::from_shape_fn((n, 4), |(i, j)| {
            ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
        })
    }

    fn options() -> [OverlapOptions; 2] {
        [Convention::Adm, Convention::Prdc].map(OverlapOptions::from)
    }

    #[test]
    fn every_subset_has_the_numbers_of_its_rows_alone() {
        let (pool, real) = (weyl(300, 0.1), weyl(210, 0.0));
        let sets = vec![
            (0..300).collect::<Vec<_>>(),
            (0..300).step_by(2).collect(),
            (40..290).collect(),
            vec![0, 17, 80, 120, 250, 299],
        ];
        for options in options() {
            let study = OverlapStudy::new(&pool, &real, &options).unwrap();
            for (found, rows) in study.sets(&sets).unwrap().iter().zip(&sets) {
                let alone = overlap(&pool.select(Axis(0), rows), &real, &options).unwrap();
                assert_eq!(*found, alone, "{} rows", rows.len());
            }
            let drawn = Subsets::new(5).draw(1, 300, 90);
            let random = study.random(90, 3, 5).unwrap();
            assert_eq!(random[1], overlap(&pool.select(Axis(0), &drawn), &real, &options).unwrap());
        }
    }

    #[test]
    fn a_row_whose_neighbours_are_all_gone_reaches_to_those_that_are_left() {
        // On a line, row 0 has its 32 nearest at 1 to 32, and none of them is kept.
        let pool = Array2::from_shape_fn((120, 1), |(i, _)| i as f64);
        let real = Array2::from_shape_fn((60, 1), |(i, _)| 1.7 * i as f64 + 0.2);
        let kept: Vec<usize> = std::iter::once(0).chain(60..66).collect();
        let options = OverlapOptions { convention: Convention::Adm, k: 3 };
        let study = OverlapStudy::new(&pool, &real, &options).unwrap();
        let alone = overlap(&pool.select(Axis(0), &kept), &real, &options).unwrap();
        assert_eq!(study.sets(&[kept]).unwrap(), [alone]);
        // The ball around row 0 reaches to 62: it holds more than half of the real rows.
        assert!(alone.recall > 0.6);
    }

    #[test]
    fn what_has_no_ball_is_refused() {
        let (pool, real) = (weyl(20, 0.1), weyl(20, 0.0));
        let options = OverlapOptions { convention: Convention::Adm, k: 3 };
        let few = weyl(3, 0.0);
        let refused = |found: Result<OverlapStudy<'_, '_>>| found.err().unwrap().to_string();
        assert!(refused(OverlapStudy::new(&pool, &few, &options)).contains("the real set has 3"));
        assert!(refused(OverlapStudy::new(&few, &real, &options)).contains("the fake set has 3"));
        let study = OverlapStudy::new(&pool, &real, &options).unwrap();
        assert!(matches!(study.sets(&[vec![1, 2, 3]]), Err(MetricError::TooFewSamples { .. })));
        assert!(matches!(study.sets(&[vec![1, 2, 3, 20]]), Err(MetricError::OutOfRange { .. })));
        assert!(matches!(study.random(3, 5, 0), Err(MetricError::OutOfRange { .. })));
    }
}
