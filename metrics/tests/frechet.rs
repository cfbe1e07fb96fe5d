//! Closed forms and laws of the Fréchet distance, its error bar, and the filter study.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "facts about bits")]
#![expect(clippy::cast_possible_truncation, reason = "features in single precision")]
#![expect(clippy::needless_for_each, reason = "short")]

use dubench_metrics::{
    Basis, EstimateOptions, FilterStudy, FrechetEstimate, Gaussian, MetricError, Moments, Pairing,
    Reference, SampleRegime, compare_overlapping, compare_paired, compare_unpaired, equal_rows,
    frechet_distance,
};
use ndarray::{Array1, Array2, Axis, array, s};

/// Rounding of an eigenvalue problem.
const CLOSE: f64 = 1e-9;

/// Deterministic standard normal rows: Box-Muller over a Weyl sequence passed through a mixing function.
fn normal_rows(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    Array2::from_shape_fn((n, d), |_| {
        let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    })
}

/// Rows with falling variances and a mean.
fn sample(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let mut rows = normal_rows(n, d, seed);
    for (j, mut column) in rows.axis_iter_mut(Axis(1)).enumerate() {
        column.mapv_inplace(|v| v / (1.0 + 0.1 * j as f64) + 0.05 * j as f64);
    }
    rows
}

fn diagonal(mean: &[f64], variances: &[f64]) -> Gaussian {
    let covariance = Array2::from_diag(&Array1::from(variances.to_vec()));
    Gaussian::new(Array1::from(mean.to_vec()), covariance, None).unwrap()
}

fn relative(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs()).max(1e-300)
}

#[test]
fn commuting_covariances_have_the_closed_form() {
    let a = diagonal(&[0.0, 1.0, 2.0], &[1.0, 4.0, 9.0]);
    let b = diagonal(&[1.0, 1.0, 0.0], &[4.0, 4.0, 1.0]);
    let expected = (1.0 + 0.0 + 4.0) + (1.0 + 0.0 + 4.0);
    assert!(relative(frechet_distance(&a, &b).unwrap(), expected) < CLOSE);
}

#[test]
fn distance_to_a_point_mass_is_mean_square_plus_variance() {
    let a = diagonal(&[0.0, 0.0], &[2.0, 3.0]);
    let point = diagonal(&[1.0, 2.0], &[0.0, 0.0]);
    for distance in [frechet_distance(&a, &point), frechet_distance(&point, &a)] {
        assert!(relative(distance.unwrap(), 5.0 + 5.0) < CLOSE);
    }
}

#[test]
fn two_by_two_has_the_closed_form_root() {
    // tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det A det B)) for 2 x 2.
    let a = array![[2.0, 0.6], [0.6, 1.0]];
    let b = array![[1.0, -0.4], [-0.4, 3.0]];
    let trace = (a.dot(&b)).diag().sum();
    let det = |m: &Array2<f64>| m[[0, 0]] * m[[1, 1]] - m[[0, 1]] * m[[1, 0]];
    let root = (trace + 2.0 * (det(&a) * det(&b)).sqrt()).sqrt();
    let expected = 3.0 + 4.0 - 2.0 * root;
    let zero = Array1::zeros(2);
    let a = Gaussian::new(zero.clone(), a, None).unwrap();
    let b = Gaussian::new(zero, b, None).unwrap();
    assert!(relative(frechet_distance(&a, &b).unwrap(), expected) < CLOSE);
}

#[test]
fn thin_and_dense_routes_agree_below_above_and_at_full_rank() {
    let reference = Reference::from_features(&sample(300, 24, 1)).unwrap();
    for n in [3, 10, 24, 25, 26, 80] {
        let rows = sample(n, 24, 7);
        let thin = reference.distance_to_features(&rows).unwrap();
        let gaussian = Moments::from_rows(&rows).unwrap().gaussian().unwrap();
        let dense = reference.distance(&gaussian).unwrap();
        assert!(relative(thin, dense) < CLOSE, "n = {n}: {thin} against {dense}");
    }
}

#[test]
fn a_reference_without_full_rank_is_exact_by_either_factor() {
    let few = sample(10, 24, 3);
    let thin = Reference::from_features(&few).unwrap();
    let dense = Reference::new(thin.gaussian().clone()).unwrap();
    let rows = sample(90, 24, 4);
    let (a, b) =
        (thin.distance_to_features(&rows).unwrap(), dense.distance_to_features(&rows).unwrap());
    assert!(relative(a, b) < CLOSE);
    let swapped = Reference::from_features(&rows).unwrap().distance_to_features(&few).unwrap();
    assert!(relative(a, swapped) < CLOSE);
}

#[test]
fn moments_do_not_depend_on_batches_threads_or_shards() {
    let rows = sample(3 * 1024 + 17, 5, 2).mapv(|v| v as f32);
    let whole = Moments::from_rows(&rows).unwrap().gaussian().unwrap();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let single = one.install(|| Moments::from_rows(&rows).unwrap().gaussian().unwrap());
    assert_eq!(whole, single);
    let part = |range| Moments::from_rows(rows.slice(range)).unwrap();
    let shards = [part(s![..1024, ..]), part(s![1024..2048, ..]), part(s![2048.., ..])];
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut merged = Moments::empty(5);
        order.iter().for_each(|&i| merged.merge(&shards[i]).unwrap());
        assert_eq!(merged.gaussian().unwrap(), whole);
    }
}

#[test]
fn the_covariance_divides_by_n_minus_one() {
    let rows = array![[0.0_f32], [2.0]];
    let gaussian = Moments::from_rows(&rows).unwrap().gaussian().unwrap();
    assert_eq!(gaussian.covariance()[[0, 0]], 2.0);
}

#[test]
fn influence_predicts_the_leave_one_out_distance() {
    let reference = Reference::from_features(&sample(4000, 6, 1)).unwrap();
    let rows = 2.0 * sample(1500, 6, 9);
    let estimate = reference.estimate(&rows, &EstimateOptions::default()).unwrap();
    for i in [0, 77, 1499] {
        let others: Vec<usize> = (0..1500).filter(|&j| j != i).collect();
        let without = Moments::from_selected(&rows, &others).unwrap().gaussian().unwrap();
        let moved = estimate.fid - reference.distance(&without).unwrap();
        let predicted = estimate.influence[i] / 1499.0;
        assert!((moved - predicted).abs() < 0.05 * predicted.abs() + 2e-6, "{moved} {predicted}");
    }
}

#[test]
fn the_thin_influence_is_the_dense_one() {
    // 40 features of which 12 carry anything: n = 30 takes the thin route, 12 columns alone the dense one.
    let rows = sample(30, 12, 5);
    let mut padded = Array2::zeros((30, 40));
    padded.slice_mut(s![.., ..12]).assign(&rows);
    let narrow = Reference::from_features(&sample(500, 12, 6)).unwrap();
    let gaussian = narrow.gaussian();
    let mut mean = Array1::zeros(40);
    mean.slice_mut(s![..12]).assign(&gaussian.mean());
    let mut covariance = Array2::zeros((40, 40));
    covariance.slice_mut(s![..12, ..12]).assign(&gaussian.covariance());
    let wide = Reference::new(Gaussian::new(mean, covariance, None).unwrap()).unwrap();
    let options = EstimateOptions::default();
    let (a, b) =
        (narrow.estimate(&rows, &options).unwrap(), wide.estimate(&padded, &options).unwrap());
    assert!(relative(a.fid, b.fid) < 1e-7);
    assert!(relative(a.se, b.se) < 1e-6);
    assert!(relative(a.se_gaussian, b.se_gaussian) < 1e-6);
    assert!(relative(a.bias_gaussian, b.bias_gaussian) < 1e-6);
    assert_eq!(b.regime, SampleRegime::Small);
    for (x, y) in a.influence.iter().zip(&b.influence) {
        assert!((x - y).abs() < 1e-6);
    }
}

#[test]
fn one_dimension_has_closed_form_error_and_bias() {
    // F = (m - 1)^2 + (s - 2)^2: bias of the Gaussian is [s^2 + s^2 / 4 + r s / 4] / n, with lambda = r s.
    let reference = Reference::new(diagonal(&[1.0], &[4.0])).unwrap();
    let sample = Gaussian::new(array![0.0], array![[1.0]], Some(400)).unwrap();
    let estimate = reference.estimate_from_statistics(&sample).unwrap();
    let (n, s, r) = (400.0, 1.0, 2.0);
    assert!(relative(estimate.fid, 2.0) < CLOSE);
    let bias = (s * s + 0.5 * (r * s) / 2.0 + 0.25 * r * s) / n;
    assert!(relative(estimate.bias, bias) < CLOSE);
    let g: f64 = 1.0 - r / s;
    let se = ((4.0 * s * s + 2.0 * (g * s * s).powi(2)) / n).sqrt();
    assert!(relative(estimate.se, se) < CLOSE);
}

#[test]
fn filter_study_equals_full_recomputation_on_every_route() {
    for (n, d, keeps) in [(60, 40, [20, 39, 50]), (400, 12, [30, 250, 390])] {
        let reference = Reference::from_features(&sample(900, d, 1)).unwrap();
        let pool = sample(n, d, 8).mapv(|v| v as f32);
        let scores: Vec<f64> = (0..n).map(|i| ((i * 37) % n) as f64).collect();
        let study = FilterStudy::new(&reference, &pool).unwrap();
        for keep in keeps {
            let null = study.random_null(keep, 3, 5).unwrap();
            let outcome = study.evaluate(&scores, &null).unwrap();
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let lowest = pool.select(Axis(0), &order[..keep]);
            let highest = pool.select(Axis(0), &order[n - keep..]);
            let direct = |rows: &Array2<f32>| reference.distance_to_features(rows).unwrap();
            assert!(relative(outcome.fid_keep_lowest, direct(&lowest)) < CLOSE, "{n} {keep}");
            assert!(relative(outcome.fid_keep_highest, direct(&highest)) < CLOSE, "{n} {keep}");
            assert_eq!(null.fids.len(), 3);
        }
    }
}

#[test]
fn comparisons_respect_pairing_and_overlap() {
    let reference = Reference::from_features(&sample(2000, 6, 1)).unwrap();
    let options = EstimateOptions::default();
    let rows = 2.0 * sample(800, 6, 2);
    let a = reference.estimate(&rows, &options).unwrap();
    let b = reference.estimate(&(&rows + 0.01), &options).unwrap();
    let ids: Vec<u64> = (0..800).collect();
    let other_ids: Vec<u64> = (800..1600).collect();
    let paired = compare_paired(&a, &b).unwrap();
    let unpaired = compare_unpaired(&a, &b).unwrap();
    let same = compare_overlapping(&a, &ids, &b, &ids).unwrap();
    let disjoint = compare_overlapping(&a, &ids, &b, &other_ids).unwrap();
    assert!(relative(paired.se, same.se) < CLOSE);
    assert!(relative(unpaired.se, disjoint.se) < CLOSE);
    assert!(paired.se < 0.1 * unpaired.se);
    assert_eq!(compare_paired(&a, &a).unwrap().p, 1.0);
}

#[test]
fn bad_input_is_refused_by_name() {
    let reference = Reference::new(diagonal(&[0.0, 0.0], &[1.0, 1.0])).unwrap();
    let one = Array2::<f64>::zeros((1, 2));
    assert!(matches!(
        reference.distance_to_features(&one),
        Err(MetricError::TooFewSamples { got: 1, needed: 2, .. })
    ));
    let mut rows = Array2::<f32>::zeros((5, 2));
    rows[[3, 1]] = f32::NAN;
    assert!(matches!(
        reference.distance_to_features(&rows),
        Err(MetricError::NonFinite { row: 3, column: 1, .. })
    ));
    assert!(matches!(
        reference.distance_to_features(&Array2::<f64>::zeros((5, 3))),
        Err(MetricError::LengthMismatch { got: 3, expected: 2, .. })
    ));
    let indefinite = array![[1.0, 2.0], [2.0, 1.0]];
    let gaussian = Gaussian::new(Array1::zeros(2), indefinite, None).unwrap();
    assert!(matches!(
        Reference::new(gaussian.clone()),
        Err(MetricError::NotPositiveSemidefinite { .. })
    ));
    assert!(matches!(
        reference.distance(&gaussian),
        Err(MetricError::NotPositiveSemidefinite { .. })
    ));
    let zeros = Array2::<f64>::zeros((8, 2));
    let study = FilterStudy::new(&reference, &zeros).unwrap();
    assert!(study.random_null(8, 10, 0).is_err());
    assert!(study.random_null(4, 1, 0).is_err());
    // Two and three images have a distance, but no error bar.
    let scores = [0.0; 8];
    for keep in [0, 1, 2, 3] {
        let refused = |e| matches!(e, MetricError::OutOfRange { .. });
        assert!(study.random_null(keep, 10, 0).is_err_and(refused), "{keep}");
        assert!(study.curve(&scores, &[keep]).is_err_and(refused), "{keep}");
    }
    assert!(study.random_null(4, 10, 0).is_ok());
}

#[test]
fn random_subsets_depend_on_seed_and_index_alone() {
    let reference = Reference::from_features(&sample(900, 150, 1)).unwrap();
    let pool = sample(160, 150, 8);
    let study = FilterStudy::new(&reference, &pool).unwrap();
    let shared = study.random_null(140, 64, 5).unwrap();
    let direct = study.random_null(140, 3, 5).unwrap();
    for (a, b) in shared.fids.iter().zip(&direct.fids) {
        assert!(relative(*a, *b) < 1e-10, "{a} {b}");
    }
    assert!(shared.sd > 0.0 && shared.fids[0] != shared.fids[1]);
}

/// Four points have three ways to be halved: the bias is the mean over the ways drawn, less the distance itself.
#[test]
fn the_bias_is_the_mean_over_halves_less_the_whole() {
    let points = [0.0, 1.0, 3.0, 7.0];
    // In one dimension: (m - 1)^2 + (s - 2)^2.
    let distance = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean - 1.0).powi(2) + (variance.sqrt() - 2.0).powi(2)
    };
    let halves = |[a, b, c, d]: [usize; 4]| {
        let [a, b, c, d] = [points[a], points[b], points[c], points[d]];
        f64::midpoint(distance(&[a, b]), distance(&[c, d]))
    };
    let ways = [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]].map(halves);
    // A second feature that is constant takes the thin route.
    let narrow = Reference::new(diagonal(&[1.0], &[4.0])).unwrap();
    let wide = Reference::new(diagonal(&[1.0, 0.0], &[4.0, 0.0])).unwrap();
    let column = Array2::from_shape_fn((4, 1), |(i, _)| points[i]);
    let padded = Array2::from_shape_fn((4, 2), |(i, j)| if j == 0 { points[i] } else { 0.0 });
    let mut seen = [false; 3];
    for seed in 0..12 {
        for (reference, rows) in [(&narrow, &column), (&wide, &padded)] {
            let bias = |splits| {
                let options = EstimateOptions { seed, splits };
                let estimate = reference.estimate(rows, &options).unwrap();
                assert!(relative(estimate.fid, distance(&points)) < CLOSE);
                assert_eq!(estimate.fid_inf, estimate.fid - estimate.bias);
                assert_eq!(estimate.fid_inf_se, estimate.se);
                estimate.bias + estimate.fid
            };
            let first = ways.iter().position(|w| relative(*w, bias(1)) < 1e-7);
            seen[first.expect("one of the three ways")] = true;
            let two = bias(2);
            let pairs = ways.iter().flat_map(|a| ways.iter().map(move |b| f64::midpoint(*a, *b)));
            assert!(pairs.into_iter().any(|p| relative(p, two) < 1e-7), "{two}");
        }
    }
    assert_eq!(seen, [true; 3], "every way is drawn");
}

#[test]
fn two_dimensions_have_closed_form_error_and_bias() {
    // Independent features: the cross term of the bias is l_1 l_2 / (l_1 + l_2), with l = r s.
    let reference = Reference::new(diagonal(&[1.0, -2.0], &[4.0, 9.0])).unwrap();
    let sample = Gaussian::new(array![0.0, 1.0], array![[1.0, 0.0], [0.0, 0.25]], Some(400));
    let estimate = reference.estimate_from_statistics(&sample.unwrap()).unwrap();
    assert!(relative(estimate.fid, 1.0 + 9.0 + 1.0 + 2.5 * 2.5) < CLOSE);
    let (l, variances): ([f64; 2], [f64; 2]) = ([2.0, 1.5], [1.0, 0.25]);
    let pairs = l[0] / 2.0 + l[1] / 2.0 + 2.0 * l[0] * l[1] / (l[0] + l[1]);
    let bias = (1.25 + 0.5 * pairs + 0.25 * (l[0] + l[1])) / 400.0;
    assert!(relative(estimate.bias, bias) < CLOSE);
    // G = 1 - r / s.
    let g = [1.0 - 2.0, 1.0 - 6.0_f64];
    let mean = 4.0 * (variances[0] + 9.0 * variances[1]);
    let shape = 2.0 * ((g[0] * variances[0]).powi(2) + (g[1] * variances[1]).powi(2));
    assert!(relative(estimate.se, ((mean + shape) / 400.0).sqrt()) < CLOSE);
}

/// An estimate with given influence values and nothing else of its own.
fn estimate_of(fid: f64, bias: f64, influence: &[f64]) -> FrechetEstimate {
    let n = influence.len();
    let squares: f64 = influence.iter().map(|v| v * v).sum();
    let se = (squares / (n - 1) as f64 / n as f64).sqrt();
    let reference = Reference::new(diagonal(&[0.0], &[1.0])).unwrap();
    let sample = Gaussian::new(array![0.0], array![[1.0]], Some(n)).unwrap();
    let blank = reference.estimate_from_statistics(&sample).unwrap();
    FrechetEstimate {
        fid,
        se,
        bias,
        fid_inf: fid - bias,
        fid_inf_se: se,
        influence: influence.to_vec(),
        ..blank
    }
}

#[test]
fn comparisons_by_hand() {
    let a = estimate_of(5.0, 0.5, &[2.0, -2.0, 1.0, -1.0]);
    let b = estimate_of(4.0, 0.25, &[1.0, -2.0, 2.0, -1.0]);
    // Differences 1, 0, -1, 0: variance 2/3, over 4.
    let paired = compare_paired(&a, &b).unwrap();
    assert!(relative(paired.se, (2.0_f64 / 3.0 / 4.0).sqrt()) < CLOSE);
    assert_eq!(
        (paired.delta, paired.fid_a, paired.fid_b, paired.basis),
        (1.0, 5.0, 4.0, Basis::Fid)
    );
    assert!(relative(paired.z, 1.0 / paired.se) < CLOSE);
    // P(|Z| >= sqrt 6) and the quantiles 1.95996 and 0.84162, from tables.
    assert!(relative(paired.p, 0.014_305_878_435_429_648) < 1e-9);
    assert!(relative(paired.min_detectable, 2.801_585_217_6 * paired.se) < 1e-9);
    // Each has variance 10/3, over 4.
    let unpaired = compare_unpaired(&a, &b).unwrap();
    assert!(relative(unpaired.se, (20.0_f64 / 3.0 / 4.0).sqrt()) < CLOSE);
    assert_eq!(unpaired.pairing, Pairing::Unpaired);
    // Two images in common, the third and fourth of a and the first and second of b: 0, 1; the others alone: 4, 4, 4, 1.
    let half = compare_overlapping(&a, &[1, 2, 3, 4], &b, &[3, 4, 5, 6]).unwrap();
    assert!(relative(half.se, ((0.0 + 1.0 + 4.0 + 4.0 + 4.0 + 1.0_f64) / 12.0).sqrt()) < CLOSE);
    assert_eq!(half.pairing, Pairing::Overlapping { n_shared: 2 });
    assert!(compare_overlapping(&a, &[1, 2, 3, 3], &b, &[3, 4, 5, 6]).is_err());
    assert!(compare_overlapping(&a, &[1, 2, 3], &b, &[3, 4, 5, 6]).is_err());
    // Samples of other sizes have other biases: what is compared is the value for infinitely many.
    let c = estimate_of(4.0, 2.0, &[1.0, -1.0]);
    let sizes = compare_unpaired(&a, &c).unwrap();
    assert_eq!((sizes.delta, sizes.basis), (2.5, Basis::FidInf));
    assert!(matches!(compare_paired(&a, &c), Err(MetricError::LengthMismatch { .. })));
    let from_statistics = FrechetEstimate { influence: Vec::new(), ..a.clone() };
    assert!(matches!(compare_paired(&a, &from_statistics), Err(MetricError::OutOfRange { .. })));
    let same = compare_paired(&a, &a).unwrap();
    assert_eq!((same.z, same.p), (0.0, 1.0));
}

/// `|mu_r - x|^2 + tr S_r`, all that is left of the distance where every image is `x`.
fn distance_to_point(real: &Array2<f64>, point: &[f64]) -> f64 {
    let mean = real.mean_axis(Axis(0)).unwrap();
    let variance = real.var_axis(Axis(0), 1.0).sum();
    mean.iter().zip(point).map(|(m, x)| (m - x) * (m - x)).sum::<f64>() + variance
}

#[test]
fn copies_of_one_image_are_as_far_as_that_image() {
    let weyl = |n: usize, d: usize| {
        Array2::from_shape_fn((n, d), |(i, j)| ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract())
    };
    // More and fewer rows than features, on both sides; one block and several.
    for (n_real, n_fake, d) in
        [(500, 60, 16), (40, 60, 100), (500, 3000, 16), (300, 200, 100), (600, 700, 250)]
    {
        let real = weyl(n_real, d);
        let point: Vec<f64> = (0..d).map(|j| 1.3 + 0.1 * j as f64).collect();
        let copies = Array2::from_shape_fn((n_fake, d), |(_, j)| point[j]);
        let expected = distance_to_point(&real, &point);
        let near = |found: f64| (found / expected - 1.0).abs() < 1e-9;
        let reference = Reference::from_features(&real).unwrap();
        let found = reference.estimate(&copies, &EstimateOptions::default()).unwrap();
        assert!(near(found.fid), "{} is not {expected}", found.fid);
        assert!(near(reference.distance_to_features(&copies).unwrap()));
        // All images move the distance alike, and one image says nothing of others.
        let groups = equal_rows(&[(&copies).into()]).remove(0);
        assert_eq!(found.se_by_group(&groups).unwrap(), None);
        // A collapsed reference, and two of them.
        let collapsed = Reference::from_features(&copies).unwrap();
        assert!(near(collapsed.estimate(&real, &EstimateOptions::default()).unwrap().fid));
        assert!(collapsed.distance_to_features(&copies).unwrap() < 1e-9);
    }
}

#[test]
fn without_copies_the_grouped_standard_error_is_the_plain_one() {
    let rows = Array2::from_shape_fn((50, 2), |(i, j)| ((i * (j + 3) * 7) % 53) as f64);
    let reference = Reference::from_features(&(&rows + 1.0)).unwrap();
    let found = reference.estimate(&rows, &EstimateOptions::default()).unwrap();
    let alone: Vec<usize> = (0..50).collect();
    let grouped = found.se_by_group(&alone).unwrap().unwrap();
    assert!((grouped / found.se - 1.0).abs() < 1e-12);
    assert!(found.se_by_group(&alone[1..]).is_err());
}
