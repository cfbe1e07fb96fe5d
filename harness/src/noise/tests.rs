//! Golden values, independence of neighbours, moments.

use super::*;

const GOLDEN: &str = include_str!("../../tests/data/noise.json");

fn key(seed: u64, purpose: Purpose, sample: u64, step: u32, draw: u32) -> NoiseKey {
    NoiseKey { seed, purpose, sample: SampleId(sample), step, draw }
}

fn normals(key: NoiseKey, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; n];
    standard_normal(key, &mut out);
    out
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    dot / a.len() as f64
}

fn purpose_named(name: &str) -> Purpose {
    match name {
        "initial" => Purpose::Initial,
        "label" => Purpose::Label,
        "perturb" => Purpose::Perturb,
        "dropout" => Purpose::Dropout,
        "ancestral" => Purpose::Ancestral,
        "subset" => Purpose::Subset,
        _ => Purpose::Guidance,
    }
}

/// Values of `scripts/golden/noise.py`, which shares no code with this module.
#[test]
fn draws_equal_the_independent_python_ones() {
    let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let number = |field: &str| case[field].as_str().unwrap().parse::<u64>().unwrap();
        let key = NoiseKey {
            seed: number("seed"),
            purpose: purpose_named(case["purpose"].as_str().unwrap()),
            sample: SampleId(number("sample")),
            step: u32::try_from(number("step")).unwrap(),
            draw: u32::try_from(number("draw")).unwrap(),
        };
        let offset = number("offset");
        let expected: Vec<u32> = serde_json::from_value(case["normal_bits"].clone()).unwrap();
        let mut got = vec![0.0; expected.len()];
        standard_normal_from(key, offset, &mut got);
        let bits: Vec<u32> = got.iter().map(|z| z.to_bits()).collect();
        assert_eq!(bits, expected, "{key:?} from {offset}");
        assert_eq!(u64::from(uniform_below(key, 1000)), case["below_1000"].as_u64().unwrap());
        let mask: Vec<u8> = serde_json::from_value(case["mask_keep_0_9"].clone()).unwrap();
        let mut got = vec![9; mask.len()];
        dropout_mask(key, 0.9, &mut got);
        assert_eq!(got, mask);
    }
}

#[test]
fn a_part_of_a_tensor_equals_the_tensor() {
    let key = key(5, Purpose::Perturb, 12, 45, 3);
    let whole = normals(key, 1100);
    for offset in [0_usize, 1, 2, 3, 4, 1000, 1003] {
        let mut part = vec![0.0; 7];
        standard_normal_from(key, offset as u64, &mut part);
        assert_eq!(part, whole[offset..offset + 7]);
    }
}

#[test]
fn every_field_changes_the_draw_even_in_its_highest_bits() {
    let base = key(1, Purpose::Perturb, 2, 3, 4);
    let mut seen = vec![base.block(0)];
    for bit in 0..64 {
        seen.push(NoiseKey { seed: base.seed ^ (1 << bit), ..base }.block(0));
        seen.push(NoiseKey { sample: SampleId(base.sample.0 ^ (1 << bit)), ..base }.block(0));
    }
    for bit in 0..32 {
        seen.push(NoiseKey { step: base.step ^ (1 << bit), ..base }.block(0));
        seen.push(NoiseKey { draw: base.draw ^ (1 << bit), ..base }.block(0));
    }
    seen.extend((0..56).map(|bit| base.block(1 << bit)));
    seen.extend(
        [Purpose::Initial, Purpose::Label].map(|p| NoiseKey { purpose: p, ..base }.block(0)),
    );
    let n = seen.len();
    seen.sort_unstable();
    seen.dedup();
    // Seed and sample (or step, or block) share key words: sixteen samples, sixteen steps and
    // thirty-two blocks beyond the documented bounds equal a small-numbered draw of another seed.
    assert_eq!(seen.len(), n - 16 - 16 - 32);
}

#[test]
fn moments_are_those_of_a_standard_normal() {
    let z = normals(key(9, Purpose::Initial, 0, 0, 0), 400_000);
    let n = z.len() as f64;
    let moment = |power: i32| z.iter().map(|v| f64::from(*v).powi(power)).sum::<f64>() / n;
    // Standard errors of the first four sample moments of N(0, 1): 1, sqrt 2, sqrt 15, sqrt 96 over sqrt n.
    for (power, expected, spread) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
    {
        let tolerance = 4.0 * f64::sqrt(spread / n);
        assert!(
            (moment(power) - expected).abs() < tolerance,
            "moment {power} is {}",
            moment(power)
        );
    }
    let beyond_two = z.iter().filter(|v| v.abs() > 2.0).count() as f64 / n;
    assert!((beyond_two - 0.045_500).abs() < 4.0 * f64::sqrt(0.0455 / n));
}

#[test]
fn neighbours_in_every_field_are_uncorrelated() {
    let n = 40_000;
    let base = key(100, Purpose::Perturb, 200, 45, 2);
    let z = normals(base, n);
    let neighbours = [
        NoiseKey { seed: 101, ..base },
        NoiseKey { purpose: Purpose::Dropout, ..base },
        NoiseKey { sample: SampleId(201), ..base },
        NoiseKey { step: 46, ..base },
        NoiseKey { draw: 3, ..base },
    ];
    let bound = 4.5 / f64::sqrt(n as f64);
    for neighbour in neighbours {
        let other = normals(neighbour, n);
        assert!(correlation(&z, &other).abs() < bound, "{neighbour:?}");
    }
    for lag in 1..9 {
        assert!(correlation(&z[lag..], &z[..n - lag]).abs() < bound, "lag {lag}");
    }
}

#[test]
fn integers_cover_their_range_evenly() {
    let mut counts = [0_u32; 10];
    for sample in 0..20_000 {
        counts[uniform_below(key(3, Purpose::Label, sample, 0, 0), 10) as usize] += 1;
    }
    let chi_square: f64 = counts.iter().map(|c| (f64::from(*c) - 2000.0).powi(2) / 2000.0).sum();
    assert!(chi_square < 27.9, "chi square {chi_square} of 9 degrees of freedom"); // p = 0.001
    assert_eq!(uniform_below(key(3, Purpose::Label, 0, 0, 0), 0), 0);
}

#[test]
fn masks_keep_the_asked_fraction() {
    for keep in [0.5_f32, 0.9] {
        let mut mask = vec![0; 100_000];
        dropout_mask(key(3, Purpose::Dropout, 1, 40, 0), keep, &mut mask);
        let kept = mask.iter().map(|m| f64::from(*m)).sum::<f64>() / 100_000.0;
        assert!((kept - f64::from(keep)).abs() < 0.006, "{kept} of {keep}");
    }
    let mut mask = vec![7; 33];
    dropout_mask(key(3, Purpose::Dropout, 1, 40, 0), -0.5, &mut mask);
    assert_eq!(mask, vec![0; 33]);
    dropout_mask(key(3, Purpose::Dropout, 1, 40, 0), f32::NAN, &mut mask);
    assert_eq!(mask, vec![0; 33]);
}

/// Long tensors go by many blocks at a time, short ones and the ends by one; at 2^24 blocks a word of the key changes.
#[test]
fn a_tensor_is_that_of_its_blocks_one_by_one() {
    let key = key(3, Purpose::Perturb, 4, 5, 6);
    for (offset, n) in [(0, 47), (0, 48), (0, 300), (2, 1000), (4 * ((1 << 24) - 20), 400)] {
        let mut whole = vec![0.0; n];
        standard_normal_from(key, offset, &mut whole);
        for (at, got) in (offset..).zip(&whole) {
            let mut one = [0.0];
            standard_normal_from(key, at, &mut one);
            assert_eq!(one[0].to_bits(), got.to_bits(), "element {at} of {n} from {offset}");
        }
    }
}
