//! Which images are of one prompt, and means that know it.
//!
//! Two starts of a prompt are not independent: what guidance does to a picture hangs on what it is of. So what counts as one draw
//! is a prompt, and a hundred starts of it tell no more of other prompts than their mean.

use crate::units::SampleId;

/// The prompt of each image, as a number.
///
/// Of a single prompt, and of a model without prompts, every image is a draw of its own: numbers then speak of that prompt alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompts {
    of: Vec<usize>,
    n: usize,
}

impl Prompts {
    /// Prompts of samples: sample `id` is of prompt `id % n`.
    pub(super) fn of(samples: &[SampleId], n_prompts: Option<usize>) -> Self {
        let modulus = n_prompts.filter(|n| *n > 1).map(|n| n as u64);
        let keys = samples.iter().map(|sample| modulus.map_or(sample.0, |n| sample.0 % n));
        let keys: Vec<u64> = keys.collect();
        let mut known = keys.clone();
        known.sort_unstable();
        known.dedup();
        let place = |key: &u64| known.binary_search(key).unwrap_or_default();
        Self { of: keys.iter().map(place).collect(), n: known.len() }
    }

    /// Whether some prompt has several images.
    pub(super) fn repeat(&self) -> bool {
        self.n < self.of.len()
    }

    /// Mean over images, and its standard error over prompts; no error of one.
    ///
    /// `SE^2 = G / (G - 1) sum_g (sum_{i in g} (v_i - mean))^2 / n^2` over `G` prompts and `n` images: the cluster-robust variance
    /// of a mean (Liang and Zeger 1986, with the factor that makes it unbiased for prompts of equally many images). With one image
    /// a prompt it is the usual one.
    pub(super) fn mean_and_se(&self, values: &[f64]) -> (f64, Option<f64>) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let squares: f64 = self.sums(&centred).iter().map(|(sum, _)| sum * sum).sum();
        let groups = self.n as f64;
        (mean, (self.n > 1).then(|| (groups / (groups - 1.0) * squares).sqrt() / n))
    }

    /// Mean of each prompt.
    pub(super) fn means(&self, values: &[f64]) -> Vec<f64> {
        self.sums(values).into_iter().map(|(sum, n)| sum / n).collect()
    }

    /// Sum and number of images, a prompt each.
    fn sums(&self, values: &[f64]) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); self.n];
        for (group, value) in self.of.iter().zip(values) {
            sums[*group].0 += value;
            sums[*group].1 += 1.0;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use dubench_metrics::signed_rank;

    use super::*;
    use crate::noise::{NoiseKey, Purpose, standard_normal};
    use crate::protocol::rows::mean_and_se;

    fn prompts(n_images: u64, n_prompts: usize) -> Prompts {
        let samples: Vec<SampleId> = (0..n_images).map(SampleId).collect();
        Prompts::of(&samples, Some(n_prompts))
    }

    #[test]
    fn one_image_a_prompt_has_the_usual_error_and_so_has_a_single_prompt() {
        let values = [3.0, -1.0, 4.0, 1.5];
        for of in [prompts(4, 4), prompts(4, 9), prompts(4, 1), Prompts::of(&prompts_ids(), None)] {
            assert!(!of.repeat() && of.n == 4);
            let (mean, se) = of.mean_and_se(&values);
            let (expected, usual) = mean_and_se(&values);
            assert!((mean - expected).abs() < 1e-12);
            assert!((se.unwrap() - usual.unwrap()).abs() < 1e-12);
            assert_eq!(of.means(&values), values);
        }
        assert_eq!(prompts(1, 3).mean_and_se(&[2.0]), (2.0, None));
    }

    fn prompts_ids() -> Vec<SampleId> {
        (0..4).map(SampleId).collect()
    }

    /// Equal images of a prompt tell nothing new: the error is that of the prompts alone.
    #[test]
    fn images_that_repeat_their_prompt_add_nothing() {
        let of = prompts(12, 3);
        let of_prompt = [1.0, 2.0, 6.0];
        let values: Vec<f64> = (0..12).map(|at| of_prompt[at % 3]).collect();
        let (mean, se) = of.mean_and_se(&values);
        let (expected, alone) = mean_and_se(&of_prompt);
        assert!((mean - expected).abs() < 1e-12);
        assert!((se.unwrap() - alone.unwrap()).abs() < 1e-12);
        assert_eq!(of.means(&values), of_prompt);
        // As if all twelve were draws, it would be half of that and less.
        assert!(mean_and_se(&values).1.unwrap() < 0.5 * se.unwrap());
    }

    /// Three images of one prompt and two of another, by hand: the mean is 2, the sums around it -3 and 3.
    #[test]
    fn prompts_of_unequal_numbers_are_weighed_by_their_images() {
        let of = prompts(5, 2);
        // Ids 0, 2, 4 are of prompt 0, and 1, 3 of prompt 1.
        let (mean, se) = of.mean_and_se(&[1.0, 3.0, 1.0, 4.0, 1.0]);
        assert!((mean - 2.0).abs() < 1e-12);
        // sqrt(2 (9 + 9)) / 5.
        assert!((se.unwrap() - 6.0 / 5.0).abs() < 1e-12);
    }

    /// Differences `u_g + e_gi` of 12 prompts with 5 images each, both normal of variance 1, 600 times: the squared error is
    /// right on average, and a test at 5 % of no effect rejects in 5 % of all cases, where one over images rejects in most.
    #[test]
    fn errors_and_p_hold_where_images_of_a_prompt_are_alike() {
        const PROMPTS: usize = 12;
        const IMAGES: usize = 5;
        const RUNS: u64 = 600;
        let of = prompts((PROMPTS * IMAGES) as u64, PROMPTS);
        let (mut squares, mut rejected, mut naive) = (0.0, 0, 0);
        for run in 0..RUNS {
            let key = NoiseKey {
                seed: 5,
                purpose: Purpose::Subset,
                sample: SampleId(run),
                step: 0,
                draw: 0,
            };
            let mut normals = [0.0_f32; PROMPTS * (IMAGES + 1)];
            standard_normal(key, &mut normals);
            let (prompt, own) = normals.split_at(PROMPTS);
            let values: Vec<f64> = own
                .iter()
                .enumerate()
                .map(|(at, e)| f64::from(prompt[at % PROMPTS]) + f64::from(*e))
                .collect();
            squares += of.mean_and_se(&values).1.unwrap().powi(2) / RUNS as f64;
            let p = |differences: &[f64]| signed_rank(differences).unwrap().unwrap().p;
            rejected += u32::from(p(&of.means(&values)) <= 0.05);
            naive += u32::from(p(&values) <= 0.05);
        }
        // Var of the mean: 1 / 12 + 1 / 60. The mean of 600 estimates on 11 degrees has an error of 1.7 % of it.
        let expected = 1.0 / 12.0 + 1.0 / 60.0;
        assert!((squares / expected - 1.0).abs() < 0.07, "{squares} {expected}");
        // 30 are expected, 5.3 the deviation of that.
        assert!((10..=50).contains(&rejected), "{rejected} of {RUNS}");
        assert!(naive > 150, "{naive} of {RUNS}");
    }
}
