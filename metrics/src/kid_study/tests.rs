//! Studies of subsets and pairs against each subset alone.

use super::*;
use crate::mmd::{MmdEstimator, mmd};
use ndarray::{Array2, Axis};

fn weyl(n: usize, shift: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, 3), |(i, j)| {
        ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
    })
}

fn direct(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    mmd(x, y, Kernel::Cubic, MmdEstimator::Unbiased).unwrap().value
}

#[test]
fn every_subset_has_the_distance_of_its_rows_alone() {
    // More rows than a block, and no multiple of one.
    let (pool, real) = (weyl(700, 0.1), weyl(530, 0.0));
    let study = KidStudy::new(&pool, &real).unwrap();
    let sets = vec![(0..400).collect(), (100..700).step_by(7).collect(), vec![3, 699]];
    for (set, rows) in study.sets(&sets).unwrap().iter().zip(&sets) {
        let alone = direct(&pool.select(Axis(0), rows), &real);
        assert!((set.kid - alone).abs() < 1e-12, "{} {alone}", set.kid);
        assert_eq!(set.n, rows.len());
    }
    let drawn = Subsets::new(5).draw(1, 700, 90);
    let random = study.random(90, 3, 5).unwrap();
    assert!((random[1] - direct(&pool.select(Axis(0), &drawn), &real)).abs() < 1e-12);
}

/// All exchanges of five pairs, each as two sets of their own.
#[test]
fn an_exchange_has_the_difference_of_the_exchanged_sets() {
    let (a, b, real) = (weyl(5, 0.3), weyl(5, 0.0), weyl(9, 0.1));
    let b = b.mapv(|v| v * v);
    let found = compare_kid_paired((&a).into(), (&b).into(), (&real).into(), (200, 1)).unwrap();
    assert!((found.delta - (direct(&a, &real) - direct(&b, &real))).abs() < 1e-12);
    assert!((found.a.kid - direct(&a, &real)).abs() < 1e-12);
    let mut as_far = 0;
    for signs in 0..32_u32 {
        let (mut x, mut y) = (a.clone(), b.clone());
        for i in (0..5).filter(|i| signs >> i & 1 == 1) {
            x.row_mut(i).assign(&b.row(i));
            y.row_mut(i).assign(&a.row(i));
        }
        let exchanged = direct(&x, &real) - direct(&y, &real);
        as_far += u32::from(at_least_as_far(exchanged, found.delta));
    }
    // 200 draws of 32 exchanges: three standard deviations of a binomial share.
    let share = f64::from(as_far) / 32.0;
    let drawn = found.as_far as f64 / 200.0;
    assert!((drawn - share).abs() < 3.0 * (share * (1.0 - share) / 200.0).sqrt() + 1e-12);
}

#[test]
fn equal_sets_do_not_differ() {
    let (a, real) = (weyl(20, 0.3), weyl(9, 0.1));
    let found = compare_kid_paired((&a).into(), (&a).into(), (&real).into(), (50, 0)).unwrap();
    assert_eq!((found.delta, found.se, found.p()), (0.0, 0.0, 1.0));
}

#[test]
fn sets_that_the_pool_does_not_have_are_refused() {
    let (pool, real) = (weyl(20, 0.3), weyl(9, 0.1));
    let study = KidStudy::new(&pool, &real).unwrap();
    assert!(matches!(study.sets(&[vec![1]]), Err(MetricError::TooFewSamples { .. })));
    assert!(matches!(study.sets(&[vec![1, 20]]), Err(MetricError::OutOfRange { .. })));
    assert!(matches!(study.random(21, 3, 0), Err(MetricError::OutOfRange { .. })));
}
