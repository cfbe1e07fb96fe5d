//! Values of other tools. `scripts/golden/metrics_golden.py` writes them; each file names tool and version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dubench_metrics::manifold::{Convention, OverlapOptions, overlap, rarity, realism};
use dubench_metrics::resize::{
    Filter, Grid, Layout, Preprocess, adm_center_crop, bilinear, bilinear_antialias, pillow_f32,
    pillow_u8,
};
use dubench_metrics::sparsification::{Pool, Preset, SparsificationOptions, sparsification};
use dubench_metrics::{
    KidOptions, RandomState, Reference, Splits, inception_score, kendall, kid, spearman,
};
use ndarray::{Array2, Array3, Array4, Axis, s};
use serde_json::Value;

/// Rounding of a sum in another order.
const CLOSE: f64 = 1e-9;
/// A peer that computes in f32.
const SINGLE: f64 = 2e-5;

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_vec(shape, rows.concat()).unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "golden values of f32 tools")]
fn matrix_f32(value: &Value) -> Array2<f32> {
    matrix(value).mapv(|v| v as f32)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "8-bit levels")]
fn image(value: &Value) -> Array3<u8> {
    let rows: Vec<Array2<f64>> = value.as_array().unwrap().iter().map(matrix).collect();
    let views: Vec<_> = rows.iter().map(|r| r.view()).collect();
    ndarray::stack(Axis(0), &views).unwrap().mapv(|v| v as u8)
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn assert_near(ours: f64, theirs: f64, tolerance: f64) {
    let scale = ours.abs().max(theirs.abs()).max(1e-12);
    assert!((ours - theirs).abs() <= tolerance * scale, "ours {ours}, theirs {theirs}");
}

#[test]
fn frechet_distance_is_that_of_pytorch_fid_and_of_the_nuclear_norm() {
    for case in golden("frechet")["cases"].as_array().unwrap() {
        let (a, b) = (matrix(&case["a"]), matrix(&case["b"]));
        let ours = Reference::from_features(&a).unwrap().distance_to_features(&b).unwrap();
        assert_near(ours, float(&case["nuclear"]), CLOSE);
        if let Some(theirs) = case["pytorch_fid"].as_f64() {
            assert_near(ours, theirs, CLOSE);
        }
    }
}

#[test]
fn kid_and_its_streams_are_those_of_torch_fidelity() {
    let file = golden("kid");
    let (fake, real) = (matrix(&file["fake"]), matrix(&file["real"]));
    let options = KidOptions { subsets: 20, subset_size: 30, seed: 2020 };
    let ours = kid(&fake, &real, &options).unwrap();
    assert_near(ours.kid, float(&file["kid"]), SINGLE);
    assert_near(ours.sd, float(&file["sd"]), SINGLE);
    let mut state = RandomState::new(2020);
    let integers = |v: Vec<usize>| v.iter().map(|&i| i as f64).collect::<Vec<_>>();
    assert_eq!(integers(state.permutation(23)), numbers(&file["permutation_23"]));
    assert_eq!(integers(state.choice(1500, 7)), numbers(&file["choice_1500_7"]));
}

/// Rows that the golden script makes by the same formula.
fn weyl(n: usize, d: usize, shift: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
    })
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes")]
fn kid_at_its_defaults_is_that_of_torch_fidelity_on_thousands_of_rows() {
    for case in golden("kid_defaults")["cases"].as_array().unwrap() {
        let size = |key: &str| float(&case[key]) as usize;
        let fake = weyl(size("n_fake"), size("d"), float(&case["shift"]));
        let real = weyl(size("n_real"), size("d"), 0.0);
        let ours = kid(&fake, &real, &KidOptions::default()).unwrap();
        assert_near(ours.kid, float(&case["kid"]), CLOSE);
        assert_near(ours.sd, float(&case["sd"]), CLOSE);
    }
}

#[test]
fn inception_score_is_that_of_torch_fidelity() {
    let file = golden("inception_score");
    let splits = Splits::Shuffled { splits: 10, seed: 2020 };
    let ours = inception_score(&matrix(&file["logits"]), splits).unwrap();
    assert_near(ours.mean, float(&file["mean"]), CLOSE);
    assert_near(ours.sd, float(&file["sd"]), CLOSE);
}

#[test]
fn precision_recall_density_coverage_are_those_of_prdc() {
    let file = golden("prdc");
    let (fake, real) = (matrix(&file["fake"]), matrix(&file["real"]));
    let ours = overlap(&fake, &real, &Convention::Prdc.into()).unwrap();
    let theirs = &file["prdc"];
    assert_near(ours.precision, float(&theirs["precision"]), CLOSE);
    assert_near(ours.recall, float(&theirs["recall"]), CLOSE);
    assert_near(ours.density, float(&theirs["density"]), CLOSE);
    assert_near(ours.coverage, float(&theirs["coverage"]), CLOSE);
}

#[test]
fn points_on_the_rim_count_as_the_convention_says() {
    let file = golden("prdc");
    let (fake, real) = (matrix(&file["grid_fake"]), matrix(&file["grid_real"]));
    for (convention, key) in [
        (Convention::Adm, "grid_closed"),
        (Convention::TorchFidelity, "grid_closed"),
        (Convention::Prdc, "grid_open"),
    ] {
        let ours = overlap(&fake, &real, &OverlapOptions { convention, k: 3 }).unwrap();
        assert_near(ours.precision, float(&file[key]["precision"]), CLOSE);
        assert_near(ours.recall, float(&file[key]["recall"]), CLOSE);
    }
    let (closed, open) = (&file["grid_closed"], &file["grid_open"]);
    assert_ne!(closed["recall"], open["recall"], "the grid must tell the conventions apart");
}

/// guided-diffusion lets a device compute distances in half precision: that has no one answer, and ours is the exact one.
#[test]
fn adm_is_exact_where_half_precision_has_two_answers() {
    let file = golden("adm_f16");
    let (fake, real) = (matrix(&file["fake"]), matrix(&file["real"]));
    let ours = overlap(&fake, &real, &Convention::Adm.into()).unwrap();
    assert_near(ours.precision, float(&file["exact"]["precision"]), CLOSE);
    assert_near(ours.recall, float(&file["exact"]["recall"]), CLOSE);
    assert_ne!(file["f16_f32_sums"]["recall"], file["f16_f16_sums"]["recall"]);
}

#[test]
fn rank_correlations_with_ties_are_those_of_scipy() {
    let file = golden("rank");
    let (x, y) = (numbers(&file["x"]), numbers(&file["y"]));
    assert_near(spearman(&x, &y).unwrap().coefficient, float(&file["spearman"]), CLOSE);
    assert_near(kendall(&x, &y).unwrap().coefficient, float(&file["kendall"]), CLOSE);
}

#[test]
fn sparsification_presets_are_their_definitions() {
    let file = golden("sparsification");
    let error = matrix(&file["error"]);
    for case in file["cases"].as_object().unwrap().values() {
        let uncertainty = matrix(&case["uncertainty"]);
        let run = |preset| {
            let options = SparsificationOptions { pool: Pool::All, preset, intervals: 50 };
            sparsification(&error, &uncertainty, &options).unwrap()
        };
        let mono = run(Preset::MonoUncertainty);
        assert_near(mono.ause, float(&case["mono"]["ause"]), CLOSE);
        assert_near(mono.aurg, float(&case["mono"]["aurg"]), CLOSE);
        let exact = run(Preset::Exact);
        assert_near(exact.ause, float(&case["exact"]["ause"]), CLOSE);
        assert_near(exact.aurg, float(&case["exact"]["aurg"]), CLOSE);
        assert_near(exact.rmse, float(&file["rmse"]), CLOSE);
        assert_near(run(Preset::TorchUncertainty).ause, float(&case["torch_ause"]), CLOSE);
    }
}

#[test]
fn resizes_are_those_of_their_tools() {
    let file = golden("resize");
    let picture = image(&file["image"]);
    let plane = picture.slice(s![.., .., 0]).mapv(f32::from);
    let filters = [
        ("box", Filter::Box),
        ("bilinear", Filter::Bilinear),
        ("bicubic", Filter::Bicubic),
        ("lanczos", Filter::Lanczos),
    ];
    for case in file["cases"].as_array().unwrap() {
        let to = numbers(&case["to"]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
        let to = (to[0] as usize, to[1] as usize);
        let ulps = |ours: &Array2<f32>, theirs: &Value, ulps: f32, name: &str| {
            for (a, b) in ours.iter().zip(&matrix_f32(theirs)) {
                assert!((a - b).abs() <= ulps * f32::EPSILON * 256.0, "{name} {to:?}: {a} {b}");
            }
        };
        ulps(&bilinear(plane.view(), to, Grid::HalfPixel).unwrap(), &case["torch"], 1.0, "torch");
        ulps(&bilinear(plane.view(), to, Grid::Corner).unwrap(), &case["tf1"], 0.0, "tf1");
        let antialias = bilinear_antialias(plane.view(), to).unwrap();
        ulps(&antialias, &case["torch_antialias"], 4.0, "antialias");
        for (name, filter) in filters {
            let ours = pillow_u8(picture.view(), to, filter).unwrap();
            assert_eq!(ours, image(&case[name]["u8"]), "{name} to {to:?}");
            let ours = pillow_f32(plane.view(), to, filter).unwrap();
            ulps(&ours, &case[name]["f32"], 0.0, name);
        }
    }
}

#[test]
fn adm_crop_is_that_of_pillow() {
    let file = golden("resize");
    let picture = image(&file["crop_image"]);
    for (size, theirs) in file["crop"].as_object().unwrap() {
        let ours = adm_center_crop(picture.view(), size.parse().unwrap()).unwrap();
        assert_eq!(ours, image(theirs), "size {size}");
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "indices of pixels")]
fn the_network_is_fed_what_each_tool_feeds_it() {
    for case in golden("preprocess")["cases"].as_array().unwrap() {
        let picture = image(&case["image"]);
        let batch = picture.view().insert_axis(Axis(0));
        for preprocess in [Preprocess::PytorchFid, Preprocess::TorchFidelity, Preprocess::CleanFid]
        {
            let ours = preprocess.apply(batch, Layout::Nhwc).unwrap();
            let planes = batch.permuted_axes([0, 3, 1, 2]);
            assert_eq!(ours, preprocess.apply(planes, Layout::Nchw).unwrap());
            let theirs = numbers(&case["values"][preprocess.name()]);
            for (at, theirs) in matrix(&case["at"]).rows().into_iter().zip(theirs) {
                let ours = ours[[0, at[0] as usize, at[1] as usize, at[2] as usize]];
                let name = preprocess.name();
                let theirs = theirs as f32;
                assert_eq!(ours.to_bits(), theirs.to_bits(), "{name} {at}: {ours} {theirs}");
            }
        }
    }
}

/// `scripts/golden/pytorch_fid_resize.py`: whole images, at small sizes, growing and shrinking.
#[test]
fn pytorch_fid_preprocessing_is_that_of_pytorch_bit_for_bit() {
    let file = golden("pytorch_fid_resize");
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let at = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
        let shape = (at("n"), 3, at("height"), at("width"));
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let pixels = (0..count).map(|i| u8::try_from((37 * i + i * i) % 256).unwrap()).collect();
        let images = Array4::from_shape_vec(shape, pixels).unwrap();
        let ours =
            Preprocess::PytorchFid.apply_to(images.view(), Layout::Nchw, at("size")).unwrap();
        let theirs = case["bits"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap());
        assert!(ours.iter().map(|v| u64::from(v.to_bits())).eq(theirs), "{shape:?}");
    }
}

/// Values of two public implementations (`scripts/golden/realism.py`). The one of realism adds 1e-6 to distances.
#[test]
fn realism_and_rarity_are_those_of_their_implementations() {
    let file = golden("realism");
    let (real, fake) = (matrix(&file["real"]), matrix(&file["fake"]));
    let realism = realism(&fake, &real, 3).unwrap();
    for (ours, theirs) in realism.iter().zip(numbers(&file["realism"])) {
        assert!(*ours >= theirs && (ours / theirs - 1.0) < 1e-5, "{ours} {theirs}");
    }
    let rarity = rarity(&fake, &real, 3).unwrap();
    for (ours, theirs) in rarity.iter().zip(numbers(&file["rarity"])) {
        // 0 is their word for outside of all balls.
        assert!((ours.unwrap_or(0.0) - theirs).abs() < 1e-12, "{ours:?} {theirs}");
    }
    assert_eq!(rarity.iter().filter(|rarity| rarity.is_none()).count(), 8);
}
