//! Laws that hold for any input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "shares of the same counts")]

use dubench_metrics::manifold::{Convention, OverlapOptions, overlap};
use dubench_metrics::resize::{Filter, pillow_u8};
use dubench_metrics::sparsification::{Pool, Preset, SparsificationOptions, sparsification};
use dubench_metrics::{Moments, Reference, kendall, spearman};
use ndarray::{Array2, Array3, Axis, s};
use proptest::prelude::*;

fn rows(n: std::ops::Range<usize>, d: usize) -> impl Strategy<Value = Array2<f64>> {
    n.prop_flat_map(move |n| {
        proptest::collection::vec(-3.0..3.0_f64, n * d)
            .prop_map(move |v| Array2::from_shape_vec((n, d), v).unwrap())
    })
}

/// A pair of error and uncertainty of one shape, with ties.
fn pixels() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
    (1_usize..5, 2_usize..40).prop_flat_map(|(n, m)| {
        let error = proptest::collection::vec(-5.0..5.0_f64, n * m);
        let uncertainty = proptest::collection::vec(0_u8..20, n * m);
        (error, uncertainty).prop_map(move |(e, u)| {
            let u = u.into_iter().map(f64::from).collect();
            let shape = (n, m);
            (Array2::from_shape_vec(shape, e).unwrap(), Array2::from_shape_vec(shape, u).unwrap())
        })
    })
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    Reference::from_features(a).unwrap().distance_to_features(b).unwrap()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frechet_distance_is_symmetric_and_zero_on_itself(
        a in rows(2..30, 5),
        b in rows(2..30, 5),
    ) {
        prop_assert!(near(distance(&a, &b), distance(&b, &a), 1e-7));
        prop_assert!(distance(&a, &a) < 1e-7);
        prop_assert!(distance(&a, &b) >= 0.0);
    }

    #[test]
    fn frechet_distance_ignores_row_order_shifts_and_column_order(
        a in rows(2..30, 4),
        b in rows(2..30, 4),
        shift in -5.0..5.0_f64,
    ) {
        let before = distance(&a, &b);
        let reversed = b.slice(s![..;-1, ..]).to_owned();
        prop_assert!(near(before, distance(&a, &reversed), 1e-7));
        prop_assert!(near(before, distance(&(&a + shift), &(&b + shift)), 1e-6));
        let swap = |m: &Array2<f64>| m.select(Axis(1), &[2, 0, 3, 1]);
        prop_assert!(near(before, distance(&swap(&a), &swap(&b)), 1e-7));
        prop_assert!(near(4.0 * before, distance(&(2.0 * &a), &(2.0 * &b)), 1e-6));
    }

    #[test]
    fn removing_what_was_merged_restores_the_bits(a in rows(2..20, 3), b in rows(1..20, 3)) {
        let first = Moments::from_rows(&a).unwrap();
        let second = Moments::from_rows(&b).unwrap();
        let mut both = first.clone();
        both.merge(&second).unwrap();
        both.remove(&second).unwrap();
        prop_assert_eq!(both.gaussian().unwrap(), first.gaussian().unwrap());
    }

    #[test]
    fn ause_is_never_negative_and_zero_for_monotone_copies_of_the_error(
        (error, uncertainty) in pixels(),
        all in any::<bool>(),
    ) {
        let pool = if all { Pool::All } else { Pool::Image };
        let options = SparsificationOptions { pool, preset: Preset::Exact, intervals: 10 };
        let run = |u: &Array2<f64>| sparsification(&error, u, &options).unwrap();
        let any = run(&uncertainty);
        prop_assert!(any.ause >= -1e-12);
        let copy = run(&error.mapv(|e| 3.0 * e * e + 1.0));
        prop_assert!(copy.ause.abs() < 1e-12);
        // Only the order of uncertainties counts, and the sum of both areas not even that.
        let stretched = run(&uncertainty.mapv(|u| (0.2 * u).exp()));
        prop_assert!(near(any.ause, stretched.ause, 1e-12));
        prop_assert!(near(any.ause + any.aurg, copy.ause + copy.aurg, 1e-12));
        // A ranking upside down gains what the right one loses, or less: polarity matters.
        let upside_down = run(&error.mapv(|e| -e * e));
        prop_assert!(upside_down.aurg <= 1e-12);
    }

    #[test]
    fn rank_correlations_change_sign_with_the_order(
        pairs in proptest::collection::vec((0_u8..9, 0_u8..9), 5..40),
    ) {
        let x: Vec<f64> = pairs.iter().map(|p| f64::from(p.0)).collect();
        let y: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
        let negative: Vec<f64> = y.iter().map(|v| -v).collect();
        for correlation in [spearman, kendall] {
            let (Ok(up), Ok(down)) = (correlation(&x, &y), correlation(&x, &negative)) else {
                continue; // a constant side is refused
            };
            prop_assert!(near(up.coefficient, -down.coefficient, 1e-12));
            prop_assert!(near(up.coefficient, correlation(&y, &x).unwrap().coefficient, 1e-12));
        }
    }

    #[test]
    fn precision_and_recall_swap_with_the_sets(a in rows(6..40, 3), b in rows(6..40, 3)) {
        for convention in [Convention::Adm, Convention::Prdc] {
            let options = OverlapOptions { convention, k: 3 };
            let there = overlap(&a, &b, &options).unwrap();
            let back = overlap(&b, &a, &options).unwrap();
            prop_assert_eq!(there.precision, back.recall);
            prop_assert_eq!(there.recall, back.precision);
        }
    }

    #[test]
    fn a_flat_image_stays_flat(
        level in any::<u8>(),
        from in (1_usize..20, 1_usize..20),
        to in (1_usize..20, 1_usize..20),
    ) {
        let flat = Array3::from_elem((from.0, from.1, 3), level);
        for filter in [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let resized = pillow_u8(flat.view(), to, filter).unwrap();
            prop_assert!(resized.iter().all(|&v| v == level));
        }
    }
}
