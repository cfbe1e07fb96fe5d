//! Transforms of whole images beside those of Pillow (`scripts/golden/transforms.py`), to the byte.
#![expect(clippy::unwrap_used, reason = "tests")]

use dubench_metrics::resize::{Filter, adm_center_crop, edm_center_crop, pillow_u8};
use ndarray::Array3;

/// The picture of the script: a slope with edges, and noise of a quarter of the range.
fn picture(height: usize, width: usize) -> Array3<u8> {
    Array3::from_shape_fn((height, width, 3), |place| {
        let [y, x, c] = [place.0, place.1, place.2].map(|axis| u32::try_from(axis).unwrap());
        let mixed =
            y.wrapping_mul(73_856_093) ^ x.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791);
        let noise = (mixed.wrapping_mul(2_654_435_761) >> 26) & 63;
        u8::try_from((x * 5 + y * 3 + c * 40 + noise) & 255).unwrap()
    })
}

fn fnv1a(levels: impl Iterator<Item = u8>) -> String {
    let mix = |hash: u64, level: u8| (hash ^ u64::from(level)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", levels.fold(0xcbf2_9ce4_8422_2325, mix))
}

#[test]
fn transforms_are_those_of_pillow_to_the_byte() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/transforms.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    let (mut wrong, mut source) = (Vec::new(), picture(1, 1));
    for case in cases {
        let number = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
        let (height, width, size) = (number("height"), number("width"), number("size"));
        if source.dim() != (height, width, 3) {
            source = picture(height, width);
        }
        let image = source.view();
        let ours = match case["transform"].as_str().unwrap() {
            "adm-crop" => adm_center_crop(image, size),
            "edm-crop" => edm_center_crop(image, size),
            "box-squash" => pillow_u8(image, (size, size), Filter::Box),
            "lanczos-squash" => pillow_u8(image, (size, size), Filter::Lanczos),
            other => panic!("{other}"),
        }
        .unwrap();
        let first: Vec<u64> = ours.iter().take(9).map(|v| u64::from(*v)).collect();
        let theirs: Vec<u64> =
            case["first"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
        if fnv1a(ours.iter().copied()) != case["fnv1a"].as_str().unwrap() {
            wrong.push(format!("{case}: begins with {first:?}, Pillow's with {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ: {wrong:#?}", wrong.len(), cases.len());
    assert!(cases.len() >= 100, "{} cases", cases.len());
}
