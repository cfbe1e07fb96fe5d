use super::evaluate::{agreement, rows};
use super::prompts::Prompts;
use crate::guidance::DISPLACEMENT;
use crate::protocol::{ArmScores, MethodColumn, RunFacts};
use crate::units::{Nfe, SampleId};

fn arm(columns: &[(&str, &[f64])]) -> ArmScores {
    let methods = columns.iter().map(|(name, scores)| MethodColumn {
        name: (*name).to_owned(),
        scores: scores.to_vec(),
        nfe: Nfe::default(),
        seconds: 0.0,
    });
    let samples = (0..columns[0].1.len() as u64).map(SampleId).collect();
    ArmScores { samples, methods: methods.collect(), nfe_trajectory: 40, network_seconds: 1.0 }
}

#[test]
fn differences_are_paired_over_starts_and_the_unguided_arm_has_none() {
    let unguided = arm(&[("total_variation", &[1.0, 5.0, 9.0])]);
    let guided = arm(&[("total_variation", &[2.0, 6.0, 13.0]), (DISPLACEMENT, &[4.0, 4.0, 7.0])]);
    let facts =
        |name: &str| RunFacts { arm: [name, "pndm-20"].map(str::to_owned), ..RunFacts::default() };
    let each = Prompts::of(&unguided.samples, Some(8));
    let base = rows(&facts("unguided"), (&unguided, Some(&unguided)), &each).unwrap();
    assert_eq!(base.len(), 1);
    assert_eq!((base[0].metric.as_str(), base[0].value), ("score", Some(5.0)));
    let rows = rows(&facts("gradient"), (&guided, Some(&unguided)), &each).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.metric.as_str(), row.value.unwrap())).collect();
    assert_eq!(found, [("score", 7.0), ("delta", 2.0), ("p_value", 0.25), (DISPLACEMENT, 5.0)]);
    // Differences 1, 1 and 4: variance 3 over 3 pairs.
    assert!((rows[1].se.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!((rows[1].argument.as_deref(), rows[1].n), (Some("unguided"), Some(3)));
    // Three differences of one sign: two of eight signs lie as far.
    assert_eq!(rows[2].argument.as_deref(), Some("unguided"));
    assert_eq!(rows[3].se.map(|se| (se * se * 1e6).round()), Some(1e6));
}

/// Four starts of two prompts: 0 and 2 of one, 1 and 3 of the other. Differences 1, 3, 1, 5.
#[test]
fn starts_of_one_prompt_count_as_one_draw() {
    let unguided = arm(&[("total_variation", &[1.0, 1.0, 1.0, 1.0])]);
    let guided = arm(&[("total_variation", &[2.0, 4.0, 2.0, 6.0])]);
    let facts = RunFacts { arm: ["gradient", "pndm-20"].map(str::to_owned), ..RunFacts::default() };
    let two = Prompts::of(&unguided.samples, Some(2));
    let found = rows(&facts, (&guided, Some(&unguided)), &two).unwrap();
    let [score, delta, p] = found.as_slice() else { panic!("{found:?}") };
    // Sums around the mean 2.5: -3 and 3.
    assert_eq!((delta.value, delta.n), (Some(2.5), Some(4)));
    assert!((delta.se.unwrap() - 1.5).abs() < 1e-12 && (score.se.unwrap() - 1.5).abs() < 1e-12);
    // Two prompts of one sign: two of four signs lie as far.
    assert_eq!(p.value, Some(0.5));
    let words = p.reason.as_deref().unwrap();
    assert_eq!(words, "two-sided, Wilcoxon's signed ranks of 2 mean differences of prompts");
}

#[test]
fn a_clip_score_is_a_hundred_cosines_and_never_below_zero() {
    let column = agreement(&ndarray::array![[0.25_f32], [-0.5], [1.0]]);
    assert_eq!((column.name.as_str(), column.scores), ("clip_score", vec![25.0, 0.0, 100.0]));
}
