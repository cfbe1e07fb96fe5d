//! A made-up result for tests: the numbers mean nothing, their form is that of a real one.

use ndarray::{Array2, Array3};

use crate::protocol::Numbers;
use crate::report::plot::sheet::{Exhibit, RankEnd};
use crate::report::{Head, Labels, metric};
use crate::store::records::{CurveRow, MetricRow, ScoreTable};
use crate::units::SampleId;

/// Name, gain in FID when the most certain are kept, estimator NFE.
pub(super) const METHODS: [(&str, f64, u64); 5] = [
    ("sample_var", 0.21, 20),
    ("centered", 0.16, 20),
    ("mc_dropout", 0.05, 20),
    ("mean_squared_epsilon", -0.12, 0),
    ("total_variation", -0.38, 0),
];
const N_POOL: u64 = 2400;
const N_KEEP: u64 = 2000;
const FID_RANDOM: f64 = 31.27;

fn row(method: &str, metric: &str, side: Option<&str>, value: Option<f64>) -> MetricRow {
    MetricRow {
        experiment: "table1-cifar10".to_owned(),
        artefact: "table1".to_owned(),
        scale: "mini".to_owned(),
        model: "ddpm-cifar10-small".to_owned(),
        dataset: "cifar10".to_owned(),
        arm: "pool".to_owned(),
        sampler: "ddim-50".to_owned(),
        method: method.to_owned(),
        kind: method.to_owned(),
        metric: metric.to_owned(),
        argument: None,
        side: side.map(str::to_owned),
        value,
        se: None,
        ci_low: None,
        ci_high: None,
        n: Some(N_KEEP),
        n_reference: Some(50_000),
        paper_value: None,
        nfe_trajectory: None,
        nfe_estimator: None,
        nfe_gradient: None,
        seconds: None,
        verdict: None,
        reason: None,
        plan_id: "5d41402a".to_owned(),
        metric_version: 1,
    }
}

fn fid_rows(method: &str, side: Option<&str>, fid: f64) -> [MetricRow; 2] {
    let mut first = row(method, metric::FID, side, Some(fid));
    first.se = Some(0.312);
    first.nfe_trajectory = Some(50);
    let mut second = row(method, metric::FID_INF, side, Some(fid - 9.8));
    second.se = Some(0.33);
    [first, second]
}

fn judged(method: &str, side: &str, gain: f64, nfe: u64) -> Vec<MetricRow> {
    let mut rows = fid_rows(method, Some(side), FID_RANDOM - gain).to_vec();
    rows[0].nfe_estimator = Some(nfe);
    rows[0].seconds = Some(41.7 * nfe as f64 / 20.0);
    let sd = 0.081;
    let p = libm::erfc((gain / sd).abs() / std::f64::consts::SQRT_2).max(1.0 / 201.0);
    let p_holm = (10.0 * p).min(1.0);
    let word = match p_holm {
        p if p >= 0.05 => "n.s.",
        _ if gain > 0.0 => "better",
        _ => "worse",
    };
    rows[0].verdict = Some(word.to_owned());
    let mut delta = row(method, metric::DELTA, Some(side), Some(-gain)).of("random");
    delta.se = Some(sd);
    rows.push(delta);
    rows.extend(kid_rows(method, side, gain));
    rows.push(row(method, metric::DELTA_SE_POOLS, Some(side), Some(0.123)).of("random"));
    rows.push(row(method, metric::DELTA_INF, Some(side), Some(0.1 - gain)).of("random"));
    let last = rows.len() - 1;
    rows[last].se = Some(0.19);
    let mut test = row(method, metric::P_VALUE, Some(side), Some(p)).of("random");
    test.ci_low = Some(if p > 1.0 / 201.0 { 0.5 * p } else { 0.0 });
    let mut adjusted = row(method, metric::P_HOLM, Some(side), Some(p_holm));
    adjusted.ci_low = test.ci_low.filter(|low| *low == 0.0);
    rows.push(adjusted.of("random"));
    test.reason = Some("two-sided, against 200 random subsets".to_owned());
    rows.push(test);
    rows
}

/// KID falls as FID does, by a hundredth.
fn kid_rows(method: &str, side: &str, gain: f64) -> [MetricRow; 4] {
    let own = |name: &str, value: f64| MetricRow {
        n_reference: Some(2048),
        ..row(method, name, Some(side), Some(value))
    };
    let p = if gain.abs() > 0.2 { 1.0 / 201.0 } else { 0.2 };
    let [mut kid, mut delta] =
        [own(metric::KID, 0.012 - 0.01 * gain), own(metric::DELTA_KID, -0.01 * gain)];
    (kid.se, delta.se) = (Some(0.00061), Some(0.00023));
    let [mut test, mut adjusted] =
        [own(metric::P_KID, p), own(metric::P_KID_HOLM, (10.0 * p).min(1.0))];
    (test.ci_low, adjusted.ci_low) = (Some(p - 1.0 / 201.0), Some(p - 1.0 / 201.0));
    adjusted.ci_low = test.ci_low.filter(|low| *low == 0.0);
    [kid, delta.of("random"), test.of("random"), adjusted.of("random")]
}

/// Rows of Table 1 with rank correlations, BayesDiff missing.
pub(crate) fn rows() -> Vec<MetricRow> {
    let mut rows = fid_rows("random", None, FID_RANDOM).to_vec();
    let mut kid = row("random", metric::KID, None, Some(0.012));
    (kid.se, kid.n_reference) = (Some(0.00058), Some(2048));
    rows[0].paper_value = Some(13.494);
    rows[0].reason =
        Some("mean of 200 random subsets; their standard deviation is 0.081".to_owned());
    rows.extend(fid_rows("full", None, 30.41));
    for row in &mut rows[2..] {
        row.n = Some(N_POOL);
    }
    rows.push(row("full", metric::FID_BIAS, None, Some(9.8)));
    rows.push(kid);
    for (method, gain, nfe) in METHODS {
        let start = rows.len();
        rows.extend(judged(method, "lowest", gain, nfe));
        rows[start].paper_value = match method {
            "sample_var" => Some(13.416),
            "mc_dropout" => Some(13.435),
            _ => None,
        };
        rows.extend(judged(method, "highest", -0.8 * gain, nfe));
    }
    let mut absent = row("bayesdiff", metric::FID, Some("lowest"), None);
    absent.reason =
        Some("not applicable: it needs a fitted last layer, run `dubench fit-laplace`".to_owned());
    absent.n = None;
    rows.push(absent);
    for (i, (method, ..)) in METHODS.iter().enumerate() {
        for (j, (other, ..)) in METHODS.iter().enumerate().take(i) {
            let rho = [0.93, 0.41, 0.38, -0.62, -0.55, -0.11, -0.81, -0.74, -0.09, 0.66];
            let at = i * (i - 1) / 2 + j;
            let mut pair = row(method, metric::SPEARMAN, None, Some(rho[at])).of(other);
            (pair.ci_low, pair.ci_high) = (Some(rho[at] - 0.02), Some(rho[at] + 0.02));
            rows.push(pair);
        }
    }
    rows
}

/// Curves from 0 to 90 % discarded.
pub(crate) fn curves() -> Vec<CurveRow> {
    let fractions = [0.0, 1.0 / 12.0, 1.0 / 6.0, 0.25, 1.0 / 3.0, 5.0 / 12.0, 0.5, 0.6, 0.7];
    let mut rows = Vec::new();
    for fraction in fractions {
        let n_keep = ((1.0 - fraction) * N_POOL as f64).round();
        let random = 21.0 + 22_500.0 / n_keep;
        let sd = 0.62 * (fraction / (1.0 - fraction)).sqrt() * 0.5;
        let mut push = |method: &str, side: &str, value: f64, se: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let n = n_keep as u64;
            rows.push(CurveRow {
                arm: "pool".to_owned(),
                method: method.to_owned(),
                side: side.to_owned(),
                metric: "fid".to_owned(),
                x: fraction,
                value,
                se: Some(se),
                n,
            });
        };
        push("random", "random", random, sd);
        for (method, gain, _) in METHODS {
            let bend = 9.0 * gain * fraction * (1.0 - 0.9 * fraction);
            push(method, "lowest", random - bend, 0.3);
            push(method, "highest", random + 0.8 * bend + 2.0 * fraction * fraction, 0.3);
        }
    }
    rows
}

/// Keyed pseudo-random number in [0, 1): the splitmix64 finaliser.
fn noise(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Skewed scores of the whole pool.
pub(crate) fn scores() -> ScoreTable {
    let column = |at: usize| -> Vec<f64> {
        let draws = 3 + at as u64;
        let one = |sample: u64| -> f64 {
            let sum: f64 =
                (0..draws).map(|k| -(1.0 - noise(sample * 64 + k + 8 * at as u64)).ln()).sum();
            (40.0 + 9.0 * sum) * (1.0 + at as f64)
        };
        (0..N_POOL).map(one).collect()
    };
    ScoreTable {
        samples: (0..N_POOL).map(SampleId).collect(),
        columns: METHODS.iter().enumerate().map(|(i, m)| (m.0.to_owned(), column(i))).collect(),
    }
}

/// Six coloured blobs at each end of each method; controls have no maps.
pub(crate) fn exhibits() -> Vec<Exhibit> {
    let mut out = Vec::new();
    for (at, (method, _, nfe)) in METHODS.iter().enumerate() {
        for (end, factor) in [(RankEnd::MostCertain, 1.0), (RankEnd::LeastCertain, 2.6)] {
            for i in 0..6u32 {
                let sample = SampleId(u64::from(i) * 397 + at as u64 * 31 + 5);
                out.push(Exhibit {
                    name: (*method).to_owned(),
                    method: Labels::default().method(method),
                    end,
                    sample,
                    score: 41.3 * factor + f64::from(i),
                    image: blob(sample.0, factor),
                    map: (*nfe > 0).then(|| edges(sample.0)),
                });
            }
        }
    }
    out
}

fn distance(seed: u64, y: usize, x: usize) -> f64 {
    let centre = |k: u64| 10.0 + 12.0 * noise(seed * 7 + k);
    ((y as f64 - centre(1)).powi(2) + (x as f64 - centre(2)).powi(2)).sqrt()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to bytes")]
fn blob(seed: u64, roughness: f64) -> Array3<u8> {
    Array3::from_shape_fn((3, 32, 32), |(c, y, x)| {
        let inside = distance(seed, y, x) < 9.0;
        let base = 255.0 * noise(seed * 13 + c as u64 + if inside { 7 } else { 0 });
        let grain = 25.0 * roughness * (noise(seed + (y * 32 + x) as u64 * 3 + c as u64) - 0.5);
        (base + grain).clamp(0.0, 255.0) as u8
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a made-up map")]
fn edges(seed: u64) -> Array2<f32> {
    Array2::from_shape_fn((32, 32), |(y, x)| {
        let ring = (-(distance(seed, y, x) - 9.0).powi(2) / 6.0).exp();
        (ring + 0.15 * noise(seed + (y * 32 + x) as u64)) as f32
    })
}

/// All of it.
pub(crate) fn numbers() -> Numbers {
    Numbers { rows: rows(), curves: curves(), scores: scores() }
}

/// What it is about.
pub(crate) const HEAD: Head<'static> = Head {
    experiment: "table1-cifar10",
    artefact: "table1",
    scale: "mini",
    question: "Does discarding the images that a score calls uncertain lower FID?",
};
