//! Areas and their errors from one image at a time, and what the rules of ranking decide.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification, SparsificationOptions, sparsification,
    sparsification_ignoring_nan,
};
use ndarray::{Array2, Axis, array, s};

fn run(
    error: &Array2<f64>,
    uncertainty: &Array2<f64>,
    pool: Pool,
    preset: Preset,
) -> Sparsification {
    let options = SparsificationOptions { pool, preset, intervals: 4 };
    sparsification(error, uncertainty, &options).unwrap()
}

fn noise(i: usize, j: usize) -> f64 {
    (libm::sin(12.9 * i as f64 + 78.2 * j as f64) * 43_758.5).rem_euclid(1.0)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn areas_of_images_are_averaged_and_their_error_is_that_of_a_mean() {
    let error = Array2::from_shape_fn((3, 20), |(i, j)| (1.0 + i as f64) * (noise(i, j) - 0.5));
    let uncertainty = Array2::from_shape_fn((3, 20), |(i, j)| noise(i + 9, j));
    for preset in [Preset::Exact, Preset::MonoUncertainty, Preset::TorchUncertainty] {
        let together = run(&error, &uncertainty, Pool::Image, preset);
        let alone: Vec<Sparsification> = (0..3)
            .map(|i| {
                let one = |a: &Array2<f64>| a.slice(s![i..=i, ..]).to_owned();
                run(&one(&error), &one(&uncertainty), Pool::Image, preset)
            })
            .collect();
        let check = |pick: fn(&Sparsification) -> f64, se: Option<f64>| {
            let values: Vec<f64> = alone.iter().map(pick).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0;
            assert!(near(pick(&together), mean), "{preset:?}");
            assert!(near(se.unwrap(), (variance / 3.0).sqrt()), "{preset:?}");
        };
        check(|s| s.ause, together.ause_se);
        check(|s| s.aurg, together.aurg_se);
        for k in 0..=4 {
            let mean = alone.iter().map(|a| a.curve.method[k]).sum::<f64>() / 3.0;
            assert!(near(together.curve.method[k], mean));
            let mean = alone.iter().map(|a| a.curve.oracle[k]).sum::<f64>() / 3.0;
            assert!(near(together.curve.oracle[k], mean));
        }
        assert!(alone.iter().all(|a| a.ause_se.is_none() && a.n_images == 1));
        assert_eq!(together.n_images, 3);
    }
}

#[test]
fn four_pixels_have_areas_by_hand() {
    // Squared errors 1, 4, 9, 16; the uncertainty keeps 1, 9, 4, 16 in this order.
    let error = array![[1.0, -2.0, 3.0, -4.0]];
    let uncertainty = array![[0.1, 0.3, 0.2, 0.4]];
    let root = |v: f64| v.sqrt();
    let method = (1.0 + root(5.0) + root(14.0 / 3.0) + root(7.5)) / 4.0;
    let oracle = (1.0 + root(2.5) + root(14.0 / 3.0) + root(7.5)) / 4.0;
    for pool in [Pool::Image, Pool::All] {
        let ours = run(&error, &uncertainty, pool, Preset::Exact);
        assert!(near(ours.ause, method - oracle) && near(ours.aurg, root(7.5) - method));
        assert!(near(ours.rmse, root(7.5)));
        assert_eq!(ours.curve.x, [0.0, 0.25, 0.5, 0.75, 1.0]);
        let at = [root(7.5), root(14.0 / 3.0), root(5.0), 1.0, 1.0];
        assert!(ours.curve.method.iter().zip(at).all(|(a, b)| near(*a, b)));
        assert!(ours.curve.random.iter().all(|v| near(*v, root(7.5))));
    }
    // Upside down: what is certain is wrong.
    let misled = run(&error, &array![[0.4, 0.3, 0.2, 0.1]], Pool::All, Preset::Exact);
    let worst = (4.0 + root(12.5) + root(29.0 / 3.0) + root(7.5)) / 4.0;
    assert!(near(misled.ause, worst - oracle) && misled.aurg < 0.0);
}

#[test]
fn a_tie_stands_for_its_mean() {
    // The two middle pixels are tied: each counts 6.5, the mean of 4 and 9, whichever comes first.
    for error in [array![[1.0, 2.0, 3.0, 4.0]], array![[1.0, 3.0, 2.0, 4.0]]] {
        let ours = run(&error, &array![[0.1, 0.2, 0.2, 0.4]], Pool::All, Preset::Exact);
        let root = |v: f64| v.sqrt();
        let method = (1.0 + root(3.75) + root(14.0 / 3.0) + root(7.5)) / 4.0;
        let oracle = (1.0 + root(2.5) + root(14.0 / 3.0) + root(7.5)) / 4.0;
        assert!(near(ours.ause, method - oracle));
    }
    // All equal: chance itself.
    let flat = run(&array![[1.0, 2.0, 3.0, 4.0]], &array![[5.0; 4]], Pool::All, Preset::Exact);
    assert!(near(flat.aurg, 0.0));
}

/// The error of a pooled area comes from its derivative by the weight of each image: the jackknife leaves each out.
#[test]
fn the_error_of_a_pooled_area_is_that_of_the_jackknife() {
    let n = 80;
    let error = Array2::from_shape_fn((n, 12), |(i, j)| (0.5 + noise(i, 99)) * (noise(i, j) - 0.5));
    let uncertainty =
        Array2::from_shape_fn((n, 12), |(i, j)| error[[i, j]].abs() + noise(i + 500, j));
    let pooled = |e: &Array2<f64>, u: &Array2<f64>| run(e, u, Pool::All, Preset::Exact);
    let whole = pooled(&error, &uncertainty);
    let without: Vec<Sparsification> = (0..n)
        .map(|i| {
            let rest: Vec<usize> = (0..n).filter(|&other| other != i).collect();
            pooled(&error.select(Axis(0), &rest), &uncertainty.select(Axis(0), &rest))
        })
        .collect();
    for (pick, se) in [
        ((|s: &Sparsification| s.ause) as fn(&Sparsification) -> f64, whole.ause_se),
        (|s: &Sparsification| s.aurg, whole.aurg_se),
    ] {
        let values: Vec<f64> = without.iter().map(pick).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let jackknife = (squares * (n - 1) as f64 / n as f64).sqrt();
        let ratio = se.unwrap() / jackknife;
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }
}

const PRESETS: [Preset; 3] = [Preset::Exact, Preset::MonoUncertainty, Preset::TorchUncertainty];

fn is_hole(i: usize, j: usize) -> bool {
    j % 3 == i % 2
}

fn value(i: usize, j: usize, k: usize) -> f64 {
    ((i * 31 + j * 17 + k) % 23) as f64 - 9.0
}

/// The holes of the errors (0) alone, and of errors and uncertainties (5).
const HOLES: [&[usize]; 2] = [&[0], &[0, 5]];

/// Errors and uncertainties of four images, with holes in what `holes` names.
fn with_holes(holes: &[usize]) -> (Array2<f64>, Array2<f64>) {
    let with = |k| {
        Array2::from_shape_fn((4, 30), |(i, j)| {
            if is_hole(i, j) && holes.contains(&k) { f64::NAN } else { value(i, j, k) }
        })
    };
    (with(0), with(5))
}

#[test]
fn pixels_that_are_nan_might_as_well_not_be_there() {
    for (preset, holes) in PRESETS.into_iter().flat_map(|preset| HOLES.map(|holes| (preset, holes)))
    {
        let options = SparsificationOptions { pool: Pool::Image, preset, intervals: 10 };
        let (error, map) = with_holes(holes);
        for i in 0..4 {
            let valid: Vec<usize> = (0..30).filter(|&j| !is_hole(i, j)).collect();
            let one = |k| Array2::from_shape_fn((1, valid.len()), |(_, j)| value(i, valid[j], k));
            let expected = sparsification(&one(0), &one(5), &options).unwrap();
            let row = |a: &Array2<f64>| a.slice(s![i..=i, ..]).to_owned();
            let found = sparsification_ignoring_nan(&row(&error), &row(&map), &options).unwrap();
            assert_eq!((found.found, found.n_ignored), (expected, 30 - valid.len()));
        }
    }
}

#[test]
fn pixels_that_are_nan_are_left_out_of_a_pool_in_either_precision() {
    for (preset, holes) in PRESETS.into_iter().flat_map(|preset| HOLES.map(|holes| (preset, holes)))
    {
        let options = SparsificationOptions { pool: Pool::All, preset, intervals: 10 };
        let (error, map) = with_holes(holes);
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers")]
        let single = |a: &Array2<f64>| a.mapv(|v| v as f32);
        let double = sparsification_ignoring_nan(&error, &map, &options).unwrap();
        let single = sparsification_ignoring_nan(&single(&error), &single(&map), &options).unwrap();
        assert!((double.found.ause - single.found.ause).abs() < 1e-12);
        let flat = |k| {
            let valid = (0..120).filter(|p| !is_hole(p / 30, p % 30));
            let values: Vec<f64> = valid.map(|p| value(p / 30, p % 30, k)).collect();
            Array2::from_shape_vec((1, values.len()), values).unwrap()
        };
        let expected = sparsification(&flat(0), &flat(5), &options).unwrap();
        assert!((double.found.ause - expected.ause).abs() < 1e-12);
        assert!((double.found.aurg - expected.aurg).abs() < 1e-12);
        assert!(double.found.ause_se.unwrap() > 0.0);
    }
}

#[test]
fn an_image_of_holes_is_left_out_and_a_set_of_them_refused() {
    let nan = f64::NAN;
    let (error, map) =
        (array![[1.0, 2.0], [nan, 3.0], [nan, nan]], array![[2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]);
    let options = SparsificationOptions::default();
    let found = sparsification_ignoring_nan(&error, &map, &options).unwrap();
    assert_eq!((found.n_ignored, found.n_empty, found.found.n_images), (1, 1, 2));
    assert!(
        sparsification_ignoring_nan(error.slice(s![2.., ..]), map.slice(s![2.., ..]), &options)
            .is_err()
    );
    let infinite = map.mapv(|v| v * f64::INFINITY);
    assert!(sparsification_ignoring_nan(&error, &infinite, &options).is_err());
    assert!(sparsification(&error, &map, &options).is_err());
}
