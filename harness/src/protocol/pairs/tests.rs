use super::evaluate::rows;
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
    let base = rows(&facts("unguided"), &unguided, Some(&unguided)).unwrap();
    assert_eq!(base.len(), 1);
    assert_eq!((base[0].metric.as_str(), base[0].value), ("score", Some(5.0)));
    let rows = rows(&facts("gradient"), &guided, Some(&unguided)).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.metric.as_str(), row.value.unwrap())).collect();
    assert_eq!(found, [("score", 7.0), ("delta", 2.0), ("p_value", 0.25), (DISPLACEMENT, 5.0)]);
    // Differences 1, 1 and 4: variance 3 over 3 pairs.
    assert!((rows[1].se.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!((rows[1].argument.as_deref(), rows[1].n), (Some("unguided"), Some(3)));
    // Three differences of one sign: two of eight signs lie as far.
    assert_eq!(rows[2].argument.as_deref(), Some("unguided"));
    assert_eq!(rows[3].se.map(|se| (se * se * 1e6).round()), Some(1e6));
}
