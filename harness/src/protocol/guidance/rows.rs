//! The rows that the guidance protocol writes.

use std::collections::BTreeMap;

use dubench_metrics::{FrechetEstimate, MetricError, Reference};

use super::paired::{Paired, Tested, family};
use super::samples::ArmSamples;
use crate::guidance::DISPLACEMENT;
use crate::protocol::rows::mean_and_se;
use crate::store::records::MetricRow;

/// All rows: FID of every arm, for guided ones the paired difference to the unguided arm of the same sampler over the same
/// starts, and at the end the paired differences between rules. The listed arms of a sampler are one family of tests, the
/// cells of the sweep another one.
///
/// # Errors
/// [`MetricError`] for features of another dimension than the reference or values that are not finite.
pub(super) fn rows(
    reference: &Reference,
    arms: &[ArmSamples<'_>],
) -> Result<Vec<MetricRow>, MetricError> {
    let mut paired = Paired::new(reference, arms);
    let mut own = Vec::new();
    let mut families: Vec<Family> = Vec::new();
    for (at, arm) in arms.iter().enumerate() {
        own.push(fid_rows(arm, paired.whole(at)?));
        let Some(base) = arm.base_among(arms) else { continue };
        let tested = (at, paired.difference((at, base), super::UNGUIDED)?);
        let key = (arm.facts.arm[1].clone(), arm.cell.is_some());
        match families.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(tested),
            None => families.push((key, vec![tested])),
        }
    }
    let mut differences: BTreeMap<usize, [MetricRow; 4]> = BTreeMap::new();
    for (_, members) in families {
        let (places, tested): (Vec<usize>, Vec<Tested>) = members.into_iter().unzip();
        differences.extend(places.into_iter().zip(family(tested)?));
    }
    let mut rows = Vec::new();
    for (at, own) in own.into_iter().enumerate() {
        rows.extend(own);
        rows.extend(differences.remove(&at).into_iter().flatten());
    }
    rows.extend(paired.between_rules()?);
    Ok(rows)
}

/// A sampler and whether it is the sweep's; its arms by place, with their differences.
type Family = ((String, bool), Vec<(usize, Tested)>);

fn fid_rows(arm: &ArmSamples<'_>, own: &FrechetEstimate) -> [MetricRow; 2] {
    let mut fid = arm.row("fid", own.fid).with_se(Some(own.se)).costing(
        arm.nfe_trajectory,
        Some(arm.nfe),
        Some(arm.seconds),
    );
    fid.paper_value = arm.paper;
    let (mean, se) = mean_and_se(arm.displacement);
    [fid, arm.row(DISPLACEMENT, mean).with_se(se)]
}

#[cfg(test)]
mod tests {
    use dubench_metrics::{EstimateOptions, Gaussian, compare_paired};
    use ndarray::{Array1, Array2, s};

    use super::super::SweepCell;
    use super::*;
    use crate::protocol::RunFacts;
    use crate::units::Nfe;

    fn features(n: usize, shift: f32) -> Array2<f32> {
        Array2::from_shape_fn((n, 3), |(i, j)| {
            ((i + 1) as f32 * ((j + 5) as f32).sqrt()).fract() + shift
        })
    }

    fn reference() -> Reference {
        let gaussian =
            Gaussian::new(Array1::from_elem(3, 0.5), Array2::eye(3) / 12.0, None).unwrap();
        Reference::new(gaussian).unwrap()
    }

    fn facts(arm: &str, sampler: &str) -> RunFacts {
        RunFacts { arm: [arm, sampler].map(str::to_owned), ..RunFacts::default() }
    }

    #[test]
    fn a_guided_arm_is_held_against_the_same_starts_under_the_same_sampler() {
        let reference = reference();
        let sets = [features(60, 0.3), features(40, 0.1), features(60, 0.0), features(60, 0.0)];
        let moved = vec![2.0; 60];
        let arm = |at: usize, name, sampler: &str, is_unguided| ArmSamples {
            kind: name,
            facts: facts(name, sampler),
            features: sets[at].view(),
            is_unguided,
            cell: None,
            n_draws: Some(5),
            nfe_trajectory: 5,
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
        let find = |sampler: &str, arm: &str, metric: &str| {
            rows.iter()
                .find(|row| row.sampler == sampler && row.arm == arm && row.metric == metric)
                .cloned()
        };
        let delta = find("ddim-5", "gradient", "delta").unwrap();
        let first =
            reference.estimate(sets[0].slice(s![..40, ..]), &EstimateOptions::default()).unwrap();
        let own = find("ddim-5", "gradient", "fid").unwrap();
        assert!((delta.value.unwrap() - (own.value.unwrap() - first.fid)).abs() < 1e-12);
        assert_eq!((delta.n, delta.verdict.as_deref()), (Some(40), Some("better")));
        assert_eq!((own.nfe_estimator, own.nfe_gradient), (Some(10), Some(10)));
        // The same images: no difference, and no significance.
        let none = find("ddim-50", "gradient", "delta").unwrap();
        assert_eq!((none.value, none.verdict.as_deref()), (Some(0.0), Some("n.s.")));
        assert!(find("ddim-5", "unguided", "delta").is_none());
        assert_eq!(find("ddim-5", "gradient", DISPLACEMENT).unwrap().value, Some(2.0));
    }

    /// Two listed rules beside the unguided arm, then three cells of a sweep.
    fn rules_and_cells<'a>(sets: &'a [Array2<f32>; 3], moved: &'a [f64]) -> [ArmSamples<'a>; 6] {
        let arm = |at: usize, name: &'static str, n_draws, cell| ArmSamples {
            kind: "gradient",
            facts: facts(name, "ddim-5"),
            features: sets[at].view(),
            is_unguided: name == "unguided",
            cell,
            n_draws,
            nfe_trajectory: 5,
            nfe: Nfe::default(),
            seconds: 1.0,
            displacement: &moved[..sets[at].nrows()],
            paper: None,
        };
        let cell = |lambda| Some(SweepCell { lambda, percentile: 0.95 });
        [
            arm(0, "unguided", None, None),
            arm(1, "up", Some(5), None),
            arm(2, "down", Some(3), None),
            arm(1, "sweep up", Some(3), cell(0.1)),
            arm(2, "sweep down", Some(3), cell(-0.1)),
            arm(2, "sweep far", Some(3), cell(0.3)),
        ]
    }

    #[test]
    fn two_rules_are_tested_against_each_other_over_their_common_starts() {
        let reference = reference();
        let sets = [features(60, 0.0), features(60, 0.1), features(40, 0.3)];
        let moved = vec![2.0; 60];
        let arms = rules_and_cells(&sets, &moved);
        let rows = rows(&reference, &arms).unwrap();
        let against: Vec<_> = rows
            .iter()
            .filter(|row| row.metric == "delta" && row.argument.as_deref() != Some("unguided"))
            .collect();
        let pairs: Vec<_> = against
            .iter()
            .map(|row| (row.arm.as_str(), row.argument.as_deref().unwrap()))
            .collect();
        assert_eq!(pairs, [("down", "up"), ("sweep down", "sweep up")]);
        let options = EstimateOptions::default();
        let estimate =
            |at: usize| reference.estimate(sets[at].slice(s![..40, ..]), &options).unwrap();
        let direct = compare_paired(&estimate(2), &estimate(1)).unwrap();
        assert_eq!((against[0].value, against[0].se), (Some(direct.delta), Some(direct.se)));
        assert_eq!(against[0].n, Some(40));
        assert_eq!(against[0].reason.as_deref(), Some("M = 3 against M = 5"));
        assert_eq!(against[1].reason, None);
        let inf = rows.iter().find(|row| row.metric == "delta_inf" && row.arm == "down").unwrap();
        assert!(inf.se.unwrap() > 0.0);
        // Two listed arms and three cells: two families, so the smallest p of the cells is tripled.
        let p = |arm: &str, metric: &str| {
            rows.iter().find(|row| row.arm == arm && row.metric == metric).unwrap().value.unwrap()
        };
        assert_eq!(p("sweep down", "p_holm"), (3.0 * p("sweep down", "p_value")).min(1.0));
        assert_eq!(p("down", "p_holm"), (2.0 * p("down", "p_value")).min(1.0));
    }
}
