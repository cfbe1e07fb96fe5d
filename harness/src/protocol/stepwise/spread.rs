//! Mean and spread over images, step by step, and where the spread is largest.

use std::ops::RangeInclusive;

use crate::noise::{NoiseKey, Purpose, uniform_below};
use crate::units::SampleId;

/// Scores of one estimator: `scores[i]` has one number an image, for loop index `i`.
#[derive(Clone, Debug)]
pub(super) struct Steps<'a> {
    pub(super) scores: Vec<&'a [f64]>,
}

/// Mean and standard deviation (n - 1) over images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MeanSd {
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// What a bootstrap over images says of the spread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpreadStudy {
    /// By loop index.
    pub(super) steps: Vec<MeanSd>,
    /// Standard error of each standard deviation.
    pub(super) sd_se: Vec<f64>,
    /// Loop index of the largest spread, and the 95 % interval of it.
    pub(super) peak: (u32, [f64; 2]),
    /// Largest spread inside the asked part of the walk over the largest outside, its standard error and 95 % interval.
    pub(super) ratio: (f64, f64, [f64; 2]),
    /// Share of resamples whose largest spread is inside.
    pub(super) inside: f64,
}

impl Steps<'_> {
    /// Spread of every step, and `n_bootstrap` resamples of the images: the same images at all steps, so that what images
    /// have in common along the walk stays together.
    pub(super) fn study(
        &self,
        part: &RangeInclusive<u32>,
        (n_bootstrap, seed): (u32, u64),
    ) -> SpreadStudy {
        let steps: Vec<MeanSd> = self.scores.iter().map(|scores| mean_sd(scores)).collect();
        let sds: Vec<f64> = steps.iter().map(|step| step.sd).collect();
        let again: Vec<Vec<f64>> =
            (0..n_bootstrap).map(|draw| self.resampled(seed, draw)).collect();
        let ratios: Vec<f64> = again.iter().map(|sds| ratio(sds, part)).collect();
        let peaks: Vec<f64> = again.iter().map(|sds| f64::from(largest(sds))).collect();
        let inside = peaks.iter().filter(|peak| part.contains(&index_of(**peak))).count();
        let spread = |step: usize| {
            let of_step: Vec<f64> = again.iter().map(|sds| sds[step]).collect();
            mean_sd(&of_step).sd
        };
        SpreadStudy {
            sd_se: (0..sds.len()).map(spread).collect(),
            peak: (largest(&sds), interval(&peaks)),
            ratio: (ratio(&sds, part), mean_sd(&ratios).sd, interval(&ratios)),
            inside: inside as f64 / f64::from(n_bootstrap),
            steps,
        }
    }

    /// Spread of every step over images that are drawn with replacement.
    fn resampled(&self, seed: u64, draw: u32) -> Vec<f64> {
        let n = self.scores.first().map_or(0, |scores| scores.len());
        let below = u32::try_from(n).unwrap_or(u32::MAX);
        let pick = |image: usize| {
            let (purpose, sample) = (Purpose::Subset, SampleId(image as u64));
            uniform_below(NoiseKey { seed, purpose, sample, step: 0, draw }, below) as usize
        };
        let picked: Vec<usize> = (0..n).map(pick).collect();
        let spread = |scores: &&[f64]| {
            let values: Vec<f64> = picked.iter().map(|image| scores[*image]).collect();
            mean_sd(&values).sd
        };
        self.scores.iter().map(spread).collect()
    }
}

fn mean_sd(values: &[f64]) -> MeanSd {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    MeanSd { mean, sd: (squares / (n - 1.0)).sqrt() }
}

/// Loop index of the largest value, the first of equal ones.
fn largest(values: &[f64]) -> u32 {
    let best = values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(at, _)| u32::try_from(at).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a loop index")]
fn index_of(peak: f64) -> u32 {
    peak as u32
}

/// Largest value inside over largest outside.
fn ratio(sds: &[f64], part: &RangeInclusive<u32>) -> f64 {
    let most = |inside: bool| {
        let own = (0..).zip(sds).filter(|(at, _)| part.contains(at) == inside);
        own.map(|(_, sd)| *sd).fold(0.0, f64::max)
    };
    most(true) / most(false).max(f64::MIN_POSITIVE)
}

/// 2.5 % and 97.5 % of the values, by linear interpolation.
fn interval(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    [0.025, 0.975].map(|share| {
        let place = share * last;
        let (low, part) = (place.floor(), place - place.floor());
        let value = |at: f64| sorted[(index_of(at) as usize).min(sorted.len() - 1)];
        value(low) * (1.0 - part) + value(low + 1.0) * part
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::standard_normal;

    /// Standard normals times the scale of each step.
    fn scores(scales: &[f64], n: usize) -> Vec<Vec<f64>> {
        let column = |(step, scale): (u32, &f64)| {
            let mut z = vec![0.0; n];
            let purpose = Purpose::Perturb;
            let key = NoiseKey { seed: 5, purpose, sample: SampleId(0), step, draw: 0 };
            standard_normal(key, &mut z);
            z.iter().map(|z| 3.0 + scale * f64::from(*z)).collect()
        };
        (0..).zip(scales).map(column).collect()
    }

    fn study(columns: &[Vec<f64>], part: RangeInclusive<u32>) -> SpreadStudy {
        let scores = columns.iter().map(Vec::as_slice).collect();
        Steps { scores }.study(&part, (400, 9))
    }

    #[test]
    fn a_clear_peak_is_found_with_the_ratio_that_it_has() {
        let columns = scores(&[1.0, 1.2, 2.4, 1.0], 400);
        let found = study(&columns, 2..=2);
        assert_eq!((found.peak, found.inside), ((2, [2.0, 2.0]), 1.0));
        let (ratio, _, [low, high]) = found.ratio;
        assert!(low > 1.0 && low < ratio && ratio < high && high < 3.0, "{found:?}");
        assert!((found.steps[2].mean - 3.0).abs() < 0.5);
        // Elsewhere the same spread speaks against the claim.
        let elsewhere = study(&columns, 0..=1);
        assert!(elsewhere.ratio.2[1] < 1.0 && elsewhere.inside == 0.0, "{elsewhere:?}");
    }

    /// Of normal numbers a standard deviation itself has the standard error `sd / sqrt(2 (n - 1))`.
    #[test]
    fn error_bars_are_those_of_normal_numbers() {
        let found = study(&scores(&[1.0, 2.0], 600), 0..=0);
        for (step, se) in found.steps.iter().zip(&found.sd_se) {
            let expected = step.sd / (2.0_f64 * 599.0).sqrt();
            assert!((se / expected - 1.0).abs() < 0.15, "{se}, expected {expected}");
        }
    }

    #[test]
    fn equal_spreads_are_no_evidence_either_way() {
        let found = study(&scores(&[1.0; 6], 300), 3..=4);
        let [low, high] = found.ratio.2;
        assert!(low < 1.0 && 1.0 < high, "{found:?}");
    }
}
