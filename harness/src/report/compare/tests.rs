//! Results that are alike, and that are not.

use super::*;
use crate::protocol::filtering::example;

#[test]
fn a_result_is_identical_to_itself() {
    let rows = example::rows();
    let comparison = compare(&rows, &rows).unwrap();
    assert_eq!(comparison.pairs.len(), rows.len());
    assert!(comparison.pairs.iter().all(|pair| pair.outcome == Outcome::Identical));
    assert!(comparison.only_a.is_empty() && comparison.only_b.is_empty());
}

#[test]
fn noise_is_no_change_and_a_large_step_has_moved() {
    let a = example::rows();
    let mut b = a.clone();
    let se = a[2].se.unwrap();
    b[2].value = a[2].value.map(|value| value + se);
    b[3].value = a[3].value.map(|value| value - 10.0 * a[3].se.unwrap());
    let comparison = compare(&a, &b).unwrap();
    // Two equal standard errors: one of them is a z of 1 / sqrt(2).
    let Outcome::NoChange { z } = comparison.pairs[2].outcome else { panic!("no change") };
    assert!((z - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-9);
    let moved: Vec<&Pair> = comparison.moved().collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].a, a[3]);
}

#[test]
fn different_n_is_never_compared_silently() {
    let a = example::rows();
    let mut b = a.clone();
    b[0].n = Some(1000);
    b[2].metric_version += 1;
    let comparison = compare(&a, &b).unwrap();
    for at in [0, 2] {
        assert!(matches!(comparison.pairs[at].outcome, Outcome::NotComparable { .. }));
    }
}

#[test]
fn rows_of_one_side_are_listed() {
    let a = example::rows();
    let comparison = compare(&a, &a[1..]).unwrap();
    assert_eq!(comparison.only_a, vec![a[0].clone()]);
    assert_eq!(compare(&a[1..], &a).unwrap().only_b, vec![a[0].clone()]);
}

#[test]
fn two_rows_of_one_cell_are_refused() {
    let mut a = example::rows();
    a.push(a[0].clone());
    assert!(matches!(compare(&a, &a), Err(ReportError::Duplicate { .. })));
}

#[test]
fn the_normal_tail_is_that_of_tables() {
    assert!((two_sided_p(1.959_963_984_540_054) - 0.05).abs() < 1e-12);
    assert!((two_sided_p(-2.575_829_303_548_901) - 0.01).abs() < 1e-12);
}
