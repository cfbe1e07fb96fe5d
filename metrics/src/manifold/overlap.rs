//! The four numbers in one pass over the distances.

use super::blocks::Cloud;
use super::radii::squared_radii;
use super::scan::{Bounds, Distances, panels_of};
use crate::error::{MetricError, Result, same_length};
use crate::features::Features;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The tool whose rule decides whether a point on the rim of a ball is inside.
///
/// | variant | tool | inside | default k | features the tool uses |
/// |---|---|---|---|---|
/// | [`Adm`](Self::Adm) | guided-diffusion `evaluator.py` | `distance <= radius` | 3 | Inception pool3 |
/// | [`TorchFidelity`](Self::TorchFidelity) | torch-fidelity | `distance <= radius` | 3 | VGG16 |
/// | [`Prdc`](Self::Prdc) | prdc, dgm-eval | `distance < radius` | 5 | any |
///
/// # Examples
/// ```
/// use dubench_metrics::manifold::{Convention, OverlapOptions, overlap};
/// use ndarray::array;
/// let real = array![[0.0], [1.0], [2.0]]; // balls of radius 1 for k = 1
/// let fake = array![[3.0], [10.0]]; // 3 lies on the rim of the ball around 2
/// let precision = |convention| {
///     overlap(&fake, &real, &OverlapOptions { convention, k: 1 }).map(|found| found.precision)
/// };
/// assert_eq!(precision(Convention::Adm)?, 0.5);
/// assert_eq!(precision(Convention::Prdc)?, 0.0);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Convention {
    /// guided-diffusion: `distance <= radius`, k = 3.
    ///
    /// DIFFERENCE: distances are exact; the tool rounds features and squared distances to half precision, unless one
    /// overflows.
    ///
    /// # Why no half precision?
    /// It has no one answer: whether sums of products run in f16 or f32 is up to the device, and squared distances of
    /// pool3 features (about 360) have steps of 0.25 there. Measured in `NumPy` on pool3 features of generated images: with
    /// f32 sums, 2 x 1024 images, k = 3, precision moves from 0.6963 to 0.6973 and recall from 0.6807 to 0.6855; with f16
    /// sums, 2 x 256 images, precision moves from 0.777 to 0.766 and recall from 0.727 to 0.738. Distances in f32 decide
    /// every one of these points as exact ones do. So read a published number of this tool as known to about 0.005.
    Adm,
    /// torch-fidelity: `distance <= radius`, k = 3.
    TorchFidelity,
    /// prdc and dgm-eval: `distance < radius`, k = 5.
    Prdc,
}

impl Convention {
    /// The k that the tool uses unless told otherwise.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::manifold::{Convention, OverlapOptions};
    /// assert_eq!(OverlapOptions::from(Convention::Prdc), OverlapOptions { convention: Convention::Prdc, k: 5 });
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn default_k(self) -> usize {
        match self {
            Self::Adm | Self::TorchFidelity => 3,
            Self::Prdc => 5,
        }
    }

    pub(super) fn inside(self, squared_distance: f64, squared_radius: f64) -> bool {
        match self {
            Self::Adm | Self::TorchFidelity => squared_distance <= squared_radius,
            Self::Prdc => squared_distance < squared_radius,
        }
    }
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverlapOptions {
    /// Whose rule.
    pub convention: Convention,
    /// Which neighbour a ball reaches to, the point itself not counted.
    pub k: usize,
}

impl From<Convention> for OverlapOptions {
    fn from(convention: Convention) -> Self {
        Self { convention, k: convention.default_k() }
    }
}

/// Precision, recall, density and coverage.
///
/// Standard errors are over the points that are asked, with the balls held fixed: `sqrt(p (1 - p) / n)` for shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// Share of fake points inside a ball of the real set.
    pub precision: f64,
    /// Standard error of it.
    pub precision_se: f64,
    /// Share of real points inside a ball of the fake set.
    pub recall: f64,
    /// Standard error of it.
    pub recall_se: f64,
    /// Mean number of real balls around a fake point, over k.
    pub density: f64,
    /// Standard error of it.
    pub density_se: f64,
    /// Share of real points whose ball holds a fake point.
    pub coverage: f64,
    /// Standard error of it.
    pub coverage_se: f64,
    /// The k used.
    pub k: usize,
}

/// Precision, recall, density and coverage of `fake` `[n, d]` against `real` `[m, d]`.
///
/// Distances are products of blocks of 1024 rows in f32; those too near to a radius to be decided are measured again
/// in f64, so every decision is that of exact arithmetic and no `n x m` matrix is held.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the dimensions differ, [`MetricError::TooFewSamples`] with `k` rows or fewer,
/// [`MetricError::NonFinite`], [`MetricError::OutOfRange`] for `k = 0`.
///
/// # Examples
/// ```
/// use dubench_metrics::manifold::{Convention, OverlapOptions, overlap};
/// use ndarray::array;
/// let real = array![[0.0], [1.0], [2.0], [3.0]];
/// let fake = array![[0.5], [1.5], [9.0]];
/// let options = OverlapOptions { convention: Convention::Adm, k: 1 };
/// let result = overlap(&fake, &real, &options)?;
/// assert!((result.precision - 2.0 / 3.0).abs() < 1e-15);
/// assert!((result.density - 4.0 / 3.0).abs() < 1e-15); // two balls of radius 1 around each of two points
/// assert_eq!(result.coverage, 0.75); // the ball around 3 ends at 2
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn overlap<'a, 'b>(
    fake: impl Into<Features<'a>>,
    real: impl Into<Features<'b>>,
    options: &OverlapOptions,
) -> Result<Overlap> {
    let (fake, real) = (fake.into(), real.into());
    same_length("the features of the fake set", fake.dim(), real.dim())?;
    if options.k == 0 {
        return Err(MetricError::out_of_range("k of the nearest neighbour", 0, "at least 1"));
    }
    real.check_finite("the real set")?;
    fake.check_finite("the fake set")?;
    let centre = mean_row(real);
    let real = Cloud::new(real, &centre, "the real set", options.k.saturating_add(1))?;
    let fake = Cloud::new(fake, &centre, "the fake set", options.k.saturating_add(1))?;
    let (real_radii, fake_radii) =
        (squared_radii(&real, options.k), squared_radii(&fake, options.k));
    let pass = Pass::new(options.convention, (fake, fake_radii), (real, real_radii));
    Ok(pass.run(options.k))
}

/// Rows whose sum is taken by one thread.
const MEAN_ROWS: usize = 256;

/// The mean of all rows, in f32: a centre need not be exact.
#[expect(clippy::cast_possible_truncation, reason = "a centre need not be exact")]
pub(super) fn mean_row(features: Features<'_>) -> Vec<f32> {
    let starts: Vec<usize> = (0..features.n()).step_by(MEAN_ROWS).collect();
    let sum_from = |&start: &usize| {
        let (mut sums, mut row) = (vec![0.0_f64; features.dim()], Vec::new());
        for i in start..features.n().min(start + MEAN_ROWS) {
            row.clear();
            features.append_row_f32(i, &mut row);
            sums.iter_mut().zip(&row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        sums
    };
    let parts: Vec<Vec<f64>> = starts.par_iter().map(sum_from).collect();
    let n = features.n().max(1) as f64;
    let total = |j: usize| parts.iter().map(|part| part[j]).sum::<f64>();
    (0..features.dim()).map(|j| (total(j) / n) as f32).collect()
}

/// What was counted of a set.
pub(super) struct Counts {
    /// Real balls around each fake point.
    pub(super) balls: Vec<f64>,
    /// Real points in a fake ball.
    pub(super) recalled: usize,
    /// Real points whose ball holds a fake point.
    pub(super) covered: usize,
    /// Real points.
    pub(super) n_real: usize,
}

impl Counts {
    pub(super) fn overlap(&self, k: usize) -> Overlap {
        let share = |count: usize, n: usize| {
            let p = count as f64 / n as f64;
            (p, (p * (1.0 - p) / n as f64).sqrt())
        };
        let n = self.balls.len();
        let inside = self.balls.iter().filter(|balls| **balls > 0.0).count();
        let (precision, precision_se) = share(inside, n);
        let (recall, recall_se) = share(self.recalled, self.n_real);
        let (coverage, coverage_se) = share(self.covered, self.n_real);
        let mean = self.balls.iter().sum::<f64>() / n as f64;
        let squares: f64 = self.balls.iter().map(|c| (c - mean) * (c - mean)).sum();
        let (n, k_float) = (n as f64, k as f64);
        Overlap {
            precision,
            precision_se,
            recall,
            recall_se,
            density: mean / k_float,
            density_se: (squares / (n - 1.0) / n).sqrt() / k_float,
            coverage,
            coverage_se,
            k,
        }
    }
}

struct Pass<'f, 'r, 'c> {
    convention: Convention,
    real: Cloud<'r, 'c>,
    fake: Cloud<'f, 'c>,
    real_radii: Vec<f64>,
    fake_radii: Vec<f64>,
    /// Real balls around each fake point.
    balls: Vec<AtomicU32>,
    /// Whether each real point lies in a fake ball.
    recalled: Vec<AtomicBool>,
    /// Whether the ball of each real point holds a fake point.
    covered: Vec<AtomicBool>,
}

/// Blocks of fake points that one task compares with a block of real ones.
const GROUP: usize = 4;

impl<'f, 'r, 'c> Pass<'f, 'r, 'c> {
    fn new(
        convention: Convention,
        (fake, fake_radii): (Cloud<'f, 'c>, Vec<f64>),
        (real, real_radii): (Cloud<'r, 'c>, Vec<f64>),
    ) -> Self {
        let flags = |n: usize| (0..n).map(|_| AtomicBool::new(false)).collect();
        Self {
            convention,
            balls: (0..fake.n()).map(|_| AtomicU32::new(0)).collect(),
            recalled: flags(real.n()),
            covered: flags(real.n()),
            real,
            fake,
            real_radii,
            fake_radii,
        }
    }

    fn run(self, k: usize) -> Overlap {
        let fake_starts = self.fake.starts();
        let tasks: Vec<(usize, &[usize])> = self
            .real
            .starts()
            .into_iter()
            .flat_map(|real| fake_starts.chunks(GROUP).map(move |fakes| (real, fakes)))
            .collect();
        tasks.par_iter().with_max_len(1).for_each_init(
            Distances::default,
            |distances, (real, fakes)| {
                self.visit(*real, fakes, distances);
            },
        );
        self.summary(k)
    }

    fn summary(self, k: usize) -> Overlap {
        let flagged = |flags: Vec<AtomicBool>| {
            flags.into_iter().filter_map(|f| f.into_inner().then_some(())).count()
        };
        let balls = self.balls.into_iter().map(|c| f64::from(c.into_inner())).collect();
        let n_real = self.recalled.len();
        let (recalled, covered) = (flagged(self.recalled), flagged(self.covered));
        Counts { balls, recalled, covered, n_real }.overlap(k)
    }

    /// Counts for the block of real points from `start` on against some blocks of fake points.
    fn visit(&self, start: usize, fakes: &[usize], distances: &mut Distances) {
        let tall = self.real.pack_tall(start);
        let norms = self.real.norms(start);
        let reaches: Vec<f32> = norms
            .iter()
            .zip(&self.real_radii[start..])
            .map(|(&norm, &radius)| self.reach(radius, norm))
            .collect();
        let reaches = panels_of(&reaches, f32::NEG_INFINITY);
        let largest_norm = norms.iter().copied().fold(0.0, f32::max);
        for &fake in fakes {
            let short = self.fake.pack_short(fake);
            let fake_norms = self.fake.norms(fake);
            distances.compute((&tall, norms), (&short, fake_norms), self.real.dim());
            self.count((start, &reaches, largest_norm), fake, distances);
        }
    }

    /// Looks at the distances between two blocks.
    fn count(
        &self,
        (start, reaches, largest_norm): (usize, &Bounds, f32),
        fake: usize,
        distances: &Distances,
    ) {
        let mut near = Vec::new();
        for (j, &norm) in self.fake.norms(fake).iter().enumerate() {
            let bound = self.reach(self.fake_radii[fake + j], norm + largest_norm);
            distances.near(j, (reaches, self.reach(0.0, norm)), bound, &mut near);
            let mut balls = 0;
            for &(i, distance) in &near {
                let found = self.decide(start + i, fake + j, distance);
                balls += u32::from(found.in_real_ball);
                if found.in_real_ball {
                    self.covered[start + i].store(true, Ordering::Relaxed);
                }
                if found.in_fake_ball {
                    self.recalled[start + i].store(true, Ordering::Relaxed);
                }
            }
            self.balls[fake + j].fetch_add(balls, Ordering::Relaxed);
        }
    }

    #[inline]
    fn decide(&self, i: usize, j: usize, distance: f32) -> Near {
        let (real_radius, fake_radius) = (self.real_radii[i], self.fake_radii[j]);
        let mut distance = f64::from(distance);
        let norms = self.real.norm(i) + self.fake.norm(j);
        let doubt = self.real.rounding(norms);
        if (distance - real_radius).abs() <= doubt || (distance - fake_radius).abs() <= doubt {
            distance = self.real.exact(i, &self.fake, j);
        }
        Near {
            in_real_ball: self.convention.inside(distance, real_radius),
            in_fake_ball: self.convention.inside(distance, fake_radius),
        }
    }

    /// A distance from which on a point is outside of a ball beyond doubt, with room for the rounding of this sum.
    #[expect(clippy::cast_possible_truncation, reason = "rounded up by the factors")]
    fn reach(&self, squared_radius: f64, norms: f32) -> f32 {
        ((1.0 + 1e-6) * squared_radius + 1.05 * self.real.rounding(norms)) as f32
    }
}

struct Near {
    in_real_ball: bool,
    in_fake_ball: bool,
}
