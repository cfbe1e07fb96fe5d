//! Table 3: does guidance by uncertainty move FID, from the same starts?

use dubench_metrics::{
    Comparison, EstimateOptions, FrechetEstimate, MetricError, Reference, compare_paired,
};
use ndarray::{ArrayView2, s};

use super::filtering::SIGNIFICANCE;
use super::filtering_rows::{RunFacts, Z95};
use super::reconstruction::mean_and_se;
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// Method name of how far a rule moved the predictions of an image.
pub const DISPLACEMENT: &str = "displacement";

/// What was measured of one arm.
#[derive(Clone, Debug)]
pub struct ArmSamples<'a> {
    /// Name in tables.
    pub name: &'a str,
    /// Facts of the run, with the arm's sampler.
    pub facts: RunFacts,
    /// Features of its images, in the order of the starts.
    pub features: ArrayView2<'a, f32>,
    /// Whether it is a baseline.
    pub is_unguided: bool,
    /// Evaluations per image that the rule asked for.
    pub nfe: Nfe,
    /// Time inside the network over all images.
    pub seconds: f64,
    /// How far the rule moved the predictions of each image.
    pub displacement: &'a [f64],
    /// Published FID, where there is one for the arm.
    pub paper: Option<f64>,
}

/// All rows: FID of every arm, and for guided ones the paired difference to the unguided arm of the same sampler over the
/// same starts.
///
/// # Errors
/// [`MetricError`] for features of another dimension than the reference or values that are not finite.
pub fn rows(reference: &Reference, arms: &[ArmSamples<'_>]) -> Result<Vec<MetricRow>, MetricError> {
    let options = EstimateOptions::default();
    let mut rows = Vec::new();
    // Baselines over fewer starts, by arm and number: estimated once.
    let mut known: Vec<((usize, usize), FrechetEstimate)> = Vec::new();
    for arm in arms {
        let n = arm.features.nrows();
        let own = reference.estimate(arm.features, &options)?;
        rows.extend(fid_rows(arm, &own));
        let base = arms.iter().position(|base| {
            base.is_unguided
                && base.facts.setting == arm.facts.setting
                && base.features.nrows() >= n
        });
        let Some(base) = base.filter(|_| !arm.is_unguided) else { continue };
        if !known.iter().any(|(key, _)| *key == (base, n)) {
            let first = arms[base].features.slice(s![..n, ..]);
            known.push(((base, n), reference.estimate(first, &options)?));
        }
        if let Some((_, unguided)) = known.iter().find(|(key, _)| *key == (base, n)) {
            rows.extend(paired_rows(arm, &compare_paired(&own, unguided)?));
        }
    }
    Ok(rows)
}

fn fid_rows(arm: &ArmSamples<'_>, own: &FrechetEstimate) -> Vec<MetricRow> {
    let n = Some(own.n as u64);
    let mut fid = with_error(arm.facts.row(arm.name, "fid", Some(own.fid)), Some(own.se));
    fid.n = n;
    fid.nfe_trajectory = Some(arm.facts.nfe_trajectory);
    fid.nfe_estimator = Some(arm.nfe.estimator);
    fid.nfe_gradient = Some(arm.nfe.gradient);
    fid.seconds = Some(arm.seconds);
    fid.paper_value = arm.paper;
    let (mean, se) = mean_and_se(arm.displacement);
    let mut moved = with_error(arm.facts.row(arm.name, DISPLACEMENT, Some(mean)), se);
    moved.n = n;
    vec![fid, moved]
}

fn paired_rows(arm: &ArmSamples<'_>, comparison: &Comparison) -> Vec<MetricRow> {
    let n = Some(arm.features.nrows() as u64);
    let row = arm.facts.row(arm.name, "delta_unguided", Some(comparison.delta));
    let mut delta = with_error(row, Some(comparison.se));
    let verdict = match () {
        () if comparison.p >= SIGNIFICANCE => "n.s.",
        () if comparison.delta < 0.0 => "better",
        () => "worse",
    };
    delta.verdict = Some(verdict.to_owned());
    let mut p = arm.facts.row(arm.name, "p_value", Some(comparison.p));
    p.reason = Some("two-sided, paired over starts".to_owned());
    [delta, p].map(|row| MetricRow { n, ..row }).into()
}

fn with_error(row: MetricRow, se: Option<f64>) -> MetricRow {
    let end = |sign: f64| Some(row.value? + sign * Z95 * se?);
    MetricRow { se, ci_low: end(-1.0), ci_high: end(1.0), ..row }
}

#[cfg(test)]
mod tests {
    use dubench_metrics::Gaussian;
    use ndarray::{Array1, Array2};

    use super::*;

    fn features(n: usize, shift: f32) -> Array2<f32> {
        Array2::from_shape_fn((n, 3), |(i, j)| {
            ((i + 1) as f32 * ((j + 5) as f32).sqrt()).fract() + shift
        })
    }

    fn facts(sampler: &str) -> RunFacts {
        RunFacts {
            experiment: ["tiny", "none", "smoke"].map(str::to_owned),
            setting: ["analytic", "toy", sampler].map(str::to_owned),
            plan_id: "p".into(),
            n_reference: Some(9),
            nfe_trajectory: 5,
            trajectory_seconds: None,
        }
    }

    #[test]
    fn a_guided_arm_is_held_against_the_same_starts_under_the_same_sampler() {
        let gaussian =
            Gaussian::new(Array1::from_elem(3, 0.5), Array2::eye(3) / 12.0, None).unwrap();
        let reference = Reference::new(gaussian).unwrap();
        let sets = [features(60, 0.3), features(40, 0.1), features(60, 0.0), features(60, 0.0)];
        let moved = vec![2.0; 60];
        let arm = |at: usize, name, sampler: &str, is_unguided| ArmSamples {
            name,
            facts: facts(sampler),
            features: sets[at].view(),
            is_unguided,
            nfe: Nfe { trajectory: 0, estimator: 10, gradient: 10 },
            seconds: 1.0,
            displacement: &moved[..sets[at].nrows()],
            paper: None,
        };
        let arms = [
            arm(0, "unguided", "ddim-5", true),
            arm(1, "gradient", "ddim-5", false),
            arm(2, "unguided", "ddim-50", true),
            arm(3, "gradient", "ddim-50", false),
        ];
        let rows = rows(&reference, &arms).unwrap();
        let find = |sampler: &str, method: &str, metric: &str| {
            rows.iter()
                .find(|row| row.sampler == sampler && row.method == method && row.metric == metric)
                .cloned()
        };
        let delta = find("ddim-5", "gradient", "delta_unguided").unwrap();
        let first =
            reference.estimate(sets[0].slice(s![..40, ..]), &EstimateOptions::default()).unwrap();
        let own = find("ddim-5", "gradient", "fid").unwrap();
        assert!((delta.value.unwrap() - (own.value.unwrap() - first.fid)).abs() < 1e-12);
        assert_eq!((delta.n, delta.verdict.as_deref()), (Some(40), Some("better")));
        assert_eq!((own.nfe_estimator, own.nfe_gradient), (Some(10), Some(10)));
        // The same images: no difference, and no significance.
        let none = find("ddim-50", "gradient", "delta_unguided").unwrap();
        assert_eq!((none.value, none.verdict.as_deref()), (Some(0.0), Some("n.s.")));
        assert!(find("ddim-5", "unguided", "delta_unguided").is_none());
        assert_eq!(find("ddim-5", "gradient", DISPLACEMENT).unwrap().value, Some(2.0));
    }
}
