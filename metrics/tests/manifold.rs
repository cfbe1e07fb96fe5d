//! Precision, recall, density and coverage beside all distances in f64, where rounding and rims decide.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "shares of the same counts")]

use dubench_metrics::MetricError;
use dubench_metrics::manifold::{Convention, Overlap, OverlapOptions, overlap};
use ndarray::{Array2, array};

fn noise(i: usize, j: usize) -> f64 {
    (libm::sin(12.9 * i as f64 + 78.2 * j as f64) * 43_758.5).rem_euclid(1.0)
}

fn squared_distance(a: &Array2<f64>, i: usize, b: &Array2<f64>, j: usize) -> f64 {
    (0..a.ncols()).map(|k| (a[[i, k]] - b[[j, k]]).powi(2)).sum()
}

/// Squared distance to the k-th of the others.
fn radii(rows: &Array2<f64>, k: usize) -> Vec<f64> {
    let radius = |i: usize| {
        let others = (0..rows.nrows()).filter(|&j| j != i);
        let mut all: Vec<f64> = others.map(|j| squared_distance(rows, i, rows, j)).collect();
        all.sort_by(f64::total_cmp);
        all[k - 1]
    };
    (0..rows.nrows()).map(radius).collect()
}

/// Precision, recall, density and coverage by the definitions of arXiv:2002.09797.
fn plain(fake: &Array2<f64>, real: &Array2<f64>, k: usize, open: bool) -> [f64; 4] {
    let (real_radii, fake_radii) = (radii(real, k), radii(fake, k));
    let inside = |d: f64, r: f64| if open { d < r } else { d <= r };
    let (n, m) = (fake.nrows(), real.nrows());
    let in_real = |j: usize, i: usize| inside(squared_distance(fake, j, real, i), real_radii[i]);
    let in_fake = |j: usize, i: usize| inside(squared_distance(fake, j, real, i), fake_radii[j]);
    let precise = (0..n).filter(|&j| (0..m).any(|i| in_real(j, i))).count();
    let recalled = (0..m).filter(|&i| (0..n).any(|j| in_fake(j, i))).count();
    let covered = (0..m).filter(|&i| (0..n).any(|j| in_real(j, i))).count();
    let balls: usize = (0..n).map(|j| (0..m).filter(|&i| in_real(j, i)).count()).sum();
    let (n, m, balls, k) = (n as f64, m as f64, balls as f64, k as f64);
    [precise as f64 / n, recalled as f64 / m, balls / (k * n), covered as f64 / m]
}

fn four(o: &Overlap) -> [f64; 4] {
    [o.precision, o.recall, o.density, o.coverage]
}

#[track_caller]
fn assert_plain(fake: &Array2<f64>, real: &Array2<f64>, k: usize) {
    for (convention, open) in
        [(Convention::Adm, false), (Convention::TorchFidelity, false), (Convention::Prdc, true)]
    {
        let ours = four(&overlap(fake, real, &OverlapOptions { convention, k }).unwrap());
        let plain = plain(fake, real, k, open);
        for (ours, plain) in ours.iter().zip(plain) {
            assert!((ours - plain).abs() < 1e-12, "{convention:?}: {ours} {plain}");
        }
    }
}

#[test]
fn every_decision_is_exact_where_f32_cannot_tell() {
    // Two clusters: squared distances of 1e-6 within, norms of 2e6. Both sets have their own spread.
    let far = |i: usize| if i.is_multiple_of(2) { 1000.0 } else { -1000.0 };
    let cluster = |n: usize, spread: f64, seed: usize| {
        Array2::from_shape_fn((n, 4), |(i, j)| far(i) + spread * (noise(i + seed, j) - 0.5))
    };
    let (fake, real) = (cluster(50, 1.3e-3, 0) + 4e-4, cluster(60, 1e-3, 500));
    let found = plain(&fake, &real, 3, true);
    assert!(
        found.iter().all(|&v| v > 0.1 && v != 1.0),
        "the case must tell rules apart: {found:?}"
    );
    assert_plain(&fake, &real, 3);
    assert_plain(&real, &fake, 3);
}

#[test]
fn sets_of_several_blocks_are_counted_in_full() {
    let cloud = |n: usize, scale: f64, seed: usize| {
        Array2::from_shape_fn((n, 3), |(i, j)| scale * noise(i + seed, j))
    };
    assert_plain(&cloud(1100, 1.2, 0), &cloud(40, 1.0, 5000), 4);
    assert_plain(&cloud(40, 1.2, 0), &cloud(1100, 1.0, 5000), 4);
}

#[test]
fn standard_errors_are_those_of_shares_and_of_a_mean() {
    let real = array![[0.0], [1.0], [2.0], [3.0]];
    let fake = array![[0.5], [1.5], [9.0]];
    let options = OverlapOptions { convention: Convention::Adm, k: 1 };
    let ours = overlap(&fake, &real, &options).unwrap();
    // Two of three fake points lie in two balls each; fake balls reach to 1, 1 and 7.5.
    let share = |p: f64, n: f64| (p * (1.0 - p) / n).sqrt();
    assert!((ours.precision_se - share(2.0 / 3.0, 3.0)).abs() < 1e-15);
    assert!((ours.recall_se - share(ours.recall, 4.0)).abs() < 1e-15);
    assert!((ours.coverage_se - share(0.75, 4.0)).abs() < 1e-15);
    // Counts 2, 2, 0: variance 4/3, over 3 points.
    assert!((ours.density_se - (4.0_f64 / 3.0 / 3.0).sqrt()).abs() < 1e-15);
    assert_eq!(ours.k, 1);
    // k = 2: real balls reach to 2, 1, 1 and 2, so counts are 2, 4, 0: variance 4, over 3 points, in units of k.
    let ours = overlap(&fake, &real, &OverlapOptions { k: 2, ..options }).unwrap();
    assert!((ours.density - 1.0).abs() < 1e-15);
    assert!((ours.density_se - (4.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-15);
}

#[test]
fn the_k_of_each_tool_is_its_default() {
    assert_eq!(OverlapOptions::from(Convention::Adm).k, 3);
    assert_eq!(OverlapOptions::from(Convention::TorchFidelity).k, 3);
    assert_eq!(OverlapOptions::from(Convention::Prdc).k, 5);
}

#[test]
fn a_point_is_not_its_own_neighbour() {
    // Were it, all balls of k = 1 would be points, and nothing would lie inside.
    let rows = array![[0.0], [1.0], [3.0], [6.0]];
    let options = OverlapOptions { convention: Convention::Prdc, k: 1 };
    let shifted = &rows + 0.25;
    assert_eq!(four(&overlap(&shifted, &rows, &options).unwrap()), [1.0, 1.0, 1.75, 1.0]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let rows = array![[0.0], [1.0], [3.0]];
    let with = |k| OverlapOptions { convention: Convention::Prdc, k };
    assert!(matches!(
        overlap(&rows, &rows, &with(3)),
        Err(MetricError::TooFewSamples { got: 3, needed: 4, .. })
    ));
    assert!(overlap(&rows, &rows, &with(2)).is_ok());
    assert!(matches!(overlap(&rows, &rows, &with(0)), Err(MetricError::OutOfRange { .. })));
    // Squares of these overflow f32.
    let huge = &rows * 1e30;
    assert!(matches!(overlap(&huge, &huge, &with(1)), Err(MetricError::OutOfRange { .. })));
    for broken in [f64::NAN, f64::INFINITY] {
        let with_one = array![[0.0], [broken], [3.0]];
        let refused = |r: Result<Overlap, MetricError>| {
            matches!(r, Err(MetricError::NonFinite { row: 1, column: 0, .. }))
        };
        assert!(refused(overlap(&rows, &with_one, &with(1))));
        assert!(refused(overlap(&with_one, &rows, &with(1))));
    }
}
