//! The first score of an experiment against every other one: which of two keeps the better images of one pool?
//!
//! Two rows of a table that each differ from chance may still not differ from each other, and error bars that overlap say
//! nothing: both sets are of one pool and share images. What an image does to both is counted once.

use dubench_metrics::{Comparison, MetricError, compare_overlapping};

use super::study::{Kept, MethodOutcome};
use crate::protocol::RunFacts;
use crate::protocol::rows::{holm_rows, paired_se, verdict};
use crate::report::document::{Align, Cell, Grid, Section};
use crate::report::{Labels, Setting, cells, metric};
use crate::store::records::MetricRow;

/// What differences are taken from where they are no differences between scores.
const RANDOM: &str = "random";

const NOTE: &str = "Δ is FID of what the first score keeps (its most certain images) minus that of what the other one keeps, ± its standard \
     error over new pools, from the influence of each image on both, the thresholds held fixed: images in both sets cancel. \
     p by the normal law, two-sided; p (Holm) over the rows of this table. Δ∞: each set rid of its own bias, ± the jackknife \
     over ten groups of images.";

/// Whether a row is a difference between two scores.
pub(super) fn is_of(row: &MetricRow) -> bool {
    let names = [metric::DELTA, metric::DELTA_INF, metric::P_VALUE, metric::P_HOLM];
    let other = row.argument.as_deref().is_some_and(|argument| argument != RANDOM);
    other && names.contains(&row.metric.as_str())
}

/// Difference, its error, p and the adjusted p of the first score and every other one; the most certain images are kept.
pub(super) fn rows(
    facts: &RunFacts,
    methods: &[MethodOutcome],
) -> Result<Vec<MetricRow>, MetricError> {
    let Some((first, others)) = methods.split_first() else { return Ok(Vec::new()) };
    let (mut differences, mut tests) = (Vec::new(), Vec::new());
    for other in others {
        let compared = compare(&first.lowest, &other.lowest)?;
        let row = |name: &str, value: f64| {
            let row = facts.row(&first.method, name, Some(value)).of(&other.method);
            row.on("lowest").over(first.lowest.images.len())
        };
        let inf = first.lowest.estimate.fid_inf - other.lowest.estimate.fid_inf;
        let inf_se = paired_se(first.lowest.without.as_deref(), other.lowest.without.as_deref());
        differences.push((
            row(metric::DELTA, compared.delta).with_se(Some(compared.se)),
            row(metric::DELTA_INF, inf).with_se(inf_se),
        ));
        let mut test = row(metric::P_VALUE, compared.p);
        test.reason = Some("two-sided, by the normal law, over new pools".to_owned());
        tests.push(test);
    }
    let adjusted = holm_rows(&tests.iter().collect::<Vec<_>>())?;
    let mut out = Vec::new();
    for (((mut delta, inf), test), adjusted) in differences.into_iter().zip(tests).zip(adjusted) {
        let word = delta.value.zip(adjusted.value).map(|(delta, p)| verdict(delta, p).to_owned());
        delta.verdict = word;
        out.extend([delta, inf, test, adjusted]);
    }
    Ok(out)
}

fn compare(one: &Kept, other: &Kept) -> Result<Comparison, MetricError> {
    compare_overlapping(&one.estimate, &one.images, &other.estimate, &other.images)
}

/// The table of one setting; `None` where there is one score.
pub(super) fn section(
    setting: &Setting,
    (rows, labels): (&[MetricRow], &Labels),
) -> Option<Section> {
    let here: Vec<&MetricRow> =
        rows.iter().filter(|row| setting.holds(row) && is_of(row)).collect();
    let mut grid = Grid::with_columns(&[
        ("Kept by", Align::Left),
        ("Against", Align::Left),
        ("Δ ± SE", Align::Right),
        ("Δ∞ ± SE", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
        ("Verdict", Align::Left),
        ("n", Align::Right),
    ]);
    for delta in here.iter().copied().filter(|row| row.metric == metric::DELTA) {
        let at = |name: &str| {
            let same =
                |row: &&MetricRow| row.method == delta.method && row.argument == delta.argument;
            here.iter().copied().filter(same).find(|row| row.metric == name)
        };
        let adjusted = at(metric::P_HOLM);
        let cells = vec![
            Cell::new(labels.method(&delta.method)),
            Cell::new(labels.method(delta.argument.as_deref().unwrap_or_default())),
            cells::difference(Some(delta), &mut grid),
            cells::difference(at(metric::DELTA_INF), &mut grid),
            cells::p_value(at(metric::P_VALUE), &mut grid),
            cells::p_value(adjusted, &mut grid),
            cells::verdict(delta.verdict.as_deref(), adjusted.and_then(|row| row.value)),
            cells::count(Some(delta)),
        ];
        grid.push(cells, false);
    }
    let of_arm = setting.arm.as_ref().map_or(String::new(), |arm| format!(", arm `{arm}`"));
    (!grid.rows.is_empty()).then(|| Section {
        heading: format!(
            "The first score against the others, sampler `{}`{of_arm}",
            setting.sampler
        ),
        grid: grid.without_empty_columns(),
        remarks: vec![NOTE.to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use dubench_metrics::{EstimateOptions, Gaussian, Reference};
    use ndarray::{Array1, Array2, Axis};

    use super::super::study::FilterStudyInput;
    use super::*;

    /// Forty-eight images whose first eight are far out; two scores know of them, one does not, one repeats the first.
    fn outcome() -> (Array2<f32>, Reference, Vec<MethodOutcome>) {
        let pool = Array2::from_shape_fn((48, 2), |(i, j)| {
            let spread = ((i + 1) as f32 * ((j + 2) as f32).sqrt()).fract();
            if i < 8 { spread + 2.0 } else { spread }
        });
        let gaussian =
            Gaussian::new(Array1::from_elem(2, 0.5), Array2::eye(2) / 12.0, None).unwrap();
        let reference = Reference::new(gaussian).unwrap();
        let knows: Vec<f64> = (0..48).map(|i| f64::from(48 - i)).collect();
        let blind: Vec<f64> = (0..48).map(f64::from).collect();
        let named = |name: &str, scores: &[f64]| (name.to_owned(), scores.to_vec());
        let scores = [named("knows", &knows), named("blind", &blind), named("again", &knows)];
        let input = FilterStudyInput {
            arm: "pool",
            features: pool.view(),
            reference: &reference,
            scores: &scores,
            n_keep: 40,
            n_random: 20,
            curve: (6, 1),
            n_curve_random: 5,
            seed: 3,
        };
        let methods = input.run().unwrap().methods;
        (pool, reference, methods)
    }

    fn find(rows: &[MetricRow], other: &str, name: &str) -> MetricRow {
        let own = |row: &&MetricRow| row.argument.as_deref() == Some(other) && row.metric == name;
        rows.iter().find(own).unwrap().clone()
    }

    #[test]
    fn the_first_score_is_held_against_every_other_over_the_images_of_both() {
        let (pool, reference, methods) = outcome();
        let rows = rows(&RunFacts::default(), &methods).unwrap();
        let kept = |places: Vec<usize>| {
            let ids: Vec<u64> = places.iter().map(|place| *place as u64).collect();
            let set = pool.select(Axis(0), &places);
            (reference.estimate(&set, &EstimateOptions::default()).unwrap(), ids)
        };
        let ((a, of_a), (b, of_b)) = (kept((8..48).collect()), kept((0..40).collect()));
        let direct = compare_overlapping(&a, &of_a, &b, &of_b).unwrap();
        let delta = find(&rows, "blind", metric::DELTA);
        assert_eq!((delta.value, delta.se), (Some(direct.delta), Some(direct.se)));
        assert!((direct.delta - (a.fid - b.fid)).abs() < 1e-12 && direct.delta < 0.0);
        assert_eq!((delta.method.as_str(), delta.n), ("knows", Some(40)));
        assert_eq!(find(&rows, "blind", metric::P_VALUE).value, Some(direct.p));
        // Two tests: the smaller p is doubled.
        assert_eq!(find(&rows, "blind", metric::P_HOLM).value, Some((2.0 * direct.p).min(1.0)));
    }

    #[test]
    fn a_score_that_ranks_alike_is_no_different() {
        let (.., methods) = outcome();
        let rows = rows(&RunFacts::default(), &methods).unwrap();
        let delta = find(&rows, "again", metric::DELTA);
        assert_eq!(
            (delta.value, delta.se, delta.verdict.as_deref()),
            (Some(0.0), Some(0.0), Some("n.s."))
        );
        assert_eq!(find(&rows, "again", metric::P_VALUE).value, Some(1.0));
    }

    #[test]
    fn one_score_has_no_other() {
        let (.., methods) = outcome();
        assert!(rows(&RunFacts::default(), &methods[..1]).unwrap().is_empty());
        assert!(rows(&RunFacts::default(), &[]).unwrap().is_empty());
    }

    #[test]
    fn differences_to_random_subsets_are_of_another_table() {
        let row = |of: &str| RunFacts::default().row("m", metric::DELTA, Some(1.0)).of(of);
        assert!(is_of(&row("mc_dropout")) && !is_of(&row("random")));
        assert!(!is_of(
            &RunFacts::default().row("m", metric::SPEARMAN, Some(1.0)).of("mc_dropout")
        ));
    }
}
