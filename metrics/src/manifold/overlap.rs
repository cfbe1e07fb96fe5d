//! The four numbers in one pass over the distances.

use super::blocks::{Block, Cloud, RELATIVE, rounding, squared_distances};
use super::radii::squared_radii;
use super::scan::candidates;
use crate::error::{MetricError, Result, same_length};
use crate::features::Features;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// The tool whose rule decides whether a point on the rim of a ball is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Convention {
    /// guided-diffusion: `distance <= radius`, k = 3. DIFFERENCE: distances are exact, not half precision.
    Adm,
    /// torch-fidelity: `distance <= radius`, k = 3.
    TorchFidelity,
    /// prdc and dgm-eval: `distance < radius`, k = 5.
    Prdc,
}

impl Convention {
    /// The k that the tool uses unless told otherwise.
    pub fn default_k(self) -> usize {
        match self {
            Self::Adm | Self::TorchFidelity => 3,
            Self::Prdc => 5,
        }
    }

    fn inside(self, squared_distance: f64, squared_radius: f64) -> bool {
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
    let centre = mean_row(real);
    let real = Cloud::new(real, &centre, "the real set", options.k + 1)?;
    let fake = Cloud::new(fake, &centre, "the fake set", options.k + 1)?;
    let pass = Pass {
        convention: options.convention,
        real_radii: squared_radii(&real, options.k),
        fake_radii: squared_radii(&fake, options.k),
        balls_around_fake: (0..fake.n()).map(|_| AtomicU32::new(0)).collect(),
        real,
        fake,
    };
    Ok(pass.run(options.k))
}

#[expect(clippy::cast_possible_truncation, reason = "a centre need not be exact")]
fn mean_row(features: Features<'_>) -> Vec<f32> {
    let n = features.n().max(1) as f64;
    let mean = |sum: f64| (sum / n) as f32;
    match features {
        Features::F32(rows) => rows
            .columns()
            .into_iter()
            .map(|c| mean(c.iter().map(|&v| f64::from(v)).sum()))
            .collect(),
        Features::F64(rows) => rows.columns().into_iter().map(|c| mean(c.sum())).collect(),
    }
}

struct Pass<'f, 'r, 'c> {
    convention: Convention,
    real: Cloud<'r, 'c>,
    fake: Cloud<'f, 'c>,
    real_radii: Vec<f64>,
    fake_radii: Vec<f64>,
    balls_around_fake: Vec<AtomicU32>,
}

/// What a real point has met.
#[derive(Debug, Clone, Copy, Default)]
struct RealPoint {
    recalled: bool,
    covered: bool,
}

impl Pass<'_, '_, '_> {
    fn run(self, k: usize) -> Overlap {
        let points: Vec<Vec<RealPoint>> = self
            .real
            .starts()
            .par_iter()
            .with_max_len(1)
            .map(|&start| self.visit(&self.real.block(start)))
            .collect();
        let points = points.concat();
        let share = |count: usize, n: usize| {
            let p = count as f64 / n as f64;
            (p, (p * (1.0 - p) / n as f64).sqrt())
        };
        let counts: Vec<f64> =
            self.balls_around_fake.iter().map(|c| f64::from(c.load(Ordering::Relaxed))).collect();
        let n = counts.len();
        let (precision, precision_se) = share(counts.iter().filter(|c| **c > 0.0).count(), n);
        let (recall, recall_se) = share(points.iter().filter(|p| p.recalled).count(), points.len());
        let (coverage, coverage_se) =
            share(points.iter().filter(|p| p.covered).count(), points.len());
        let mean = counts.iter().sum::<f64>() / n as f64;
        let squares: f64 = counts.iter().map(|c| (c - mean) * (c - mean)).sum();
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

    /// Counts for one block of real points against all fake points.
    fn visit(&self, real: &Block) -> Vec<RealPoint> {
        let mut points = vec![RealPoint::default(); real.len()];
        let reaches: Vec<f32> = (0..real.len())
            .map(|i| reach(self.real_radii[real.start + i], real.norms()[i]))
            .collect();
        let largest_norm = real.norms().iter().copied().fold(0.0, f32::max);
        let mut candidates_of_j = Vec::new();
        for start in self.fake.starts() {
            let fake = self.fake.block(start);
            let distances = squared_distances(real, &fake);
            for j in 0..fake.len() {
                let column = distances.col_as_slice(j);
                let norm = fake.norms()[j];
                let bound = reach(self.fake_radii[start + j], norm + largest_norm);
                candidates(column, (&reaches, reach(0.0, norm)), bound, &mut candidates_of_j);
                let mut balls = 0;
                for &i in &candidates_of_j {
                    let near = self.decide((real, i), (&fake, j), column[i]);
                    balls += u32::from(near.in_real_ball);
                    points[i].covered |= near.in_real_ball;
                    points[i].recalled |= near.in_fake_ball;
                }
                self.balls_around_fake[start + j].fetch_add(balls, Ordering::Relaxed);
            }
        }
        points
    }

    #[inline]
    fn decide(&self, real: (&Block, usize), fake: (&Block, usize), distance: f32) -> Near {
        let (i, j) = (real.0.start + real.1, fake.0.start + fake.1);
        let (real_radius, fake_radius) = (self.real_radii[i], self.fake_radii[j]);
        let mut distance = f64::from(distance);
        let doubt = rounding(real.0, real.1, fake.0, fake.1);
        if (distance - real_radius).abs() <= doubt || (distance - fake_radius).abs() <= doubt {
            distance = self.real.exact(i, &self.fake, j);
        }
        Near {
            in_real_ball: self.convention.inside(distance, real_radius),
            in_fake_ball: self.convention.inside(distance, fake_radius),
        }
    }
}

/// A distance from which on a point is outside of a ball beyond doubt, with room for the rounding of this sum.
#[expect(clippy::cast_possible_truncation, reason = "rounded up by the factors")]
fn reach(squared_radius: f64, norms: f32) -> f32 {
    let doubt = 1.05 * RELATIVE * f64::from(norms) + f64::from(f32::MIN_POSITIVE);
    ((1.0 + 1e-6) * squared_radius + doubt) as f32
}

struct Near {
    in_real_ball: bool,
    in_fake_ball: bool,
}
