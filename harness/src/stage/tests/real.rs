//! Features of real images, drawn of the reference: made once, shared, checked as all parts are.

use ndarray::{Array2, Array4, Axis, s};
use ndarray_npy::WriteNpyExt;

use super::{Bench, one_network};
use crate::exit::{Exit, Exits};
use crate::experiment::Experiment;
use crate::model::FeatureExtractor;
use crate::model::onnx::RuntimeOptions;
use crate::plan::{Shard, real_images};
use crate::protocol::Evidence;
use crate::protocol::generative::METHOD;
use crate::stage::evaluate::RunEvidence;
use crate::stage::open::inputs;
use crate::stage::open::models;
use crate::stage::open::pixels::PixelFeatures;
use crate::stage::verify::{Networks, verify};
use crate::stage::{Stop, evaluate};
use crate::store::digest::sha256_of_file;
use crate::store::layout::StageName;
use crate::store::publish;
use crate::store::sidecar::sidecar_path;

/// Images of the reference: as many as its statistics are of.
fn real_images() -> Array4<u8> {
    Array4::from_shape_fn((1000, 3, 8, 8), |(i, c, y, x)| {
        u8::try_from((i * 31 + c * 17 + y * 7 + x * 3) % 251).unwrap()
    })
}

/// The shared experiment with `n_real` images drawn of `images`.
fn bench_of(images: &Array4<u8>, edit: impl FnOnce(String) -> String) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    images.view().permuted_axes([0, 2, 3, 1]).as_standard_layout().write_npy(&mut bytes).unwrap();
    publish(&folder.path().join("real.npy"), &bytes).unwrap();
    Bench::in_folder(folder, |text| {
        let text = text.replace("path: reference.npz}", "path: reference.npz, images: real.npy}");
        edit(text.replace("block_size: 16,", "block_size: 16, n_real: 300,"))
    })
}

fn bench() -> Bench {
    bench_of(&real_images(), |text| text)
}

#[test]
fn they_are_the_features_of_the_images_that_the_seed_draws() {
    let bench = bench();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let found = evidence.reference_features().unwrap();
    let rows: Vec<usize> = real_images::draw(7, 300, 1000)
        .into_iter()
        .map(|sample| usize::try_from(sample.0).unwrap())
        .collect();
    let drawn = real_images().select(Axis(0), &rows);
    let expected: Array2<f32> = PixelFeatures::new(2).extract(drawn.view()).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn kid_stands_beside_fid_and_says_how_many_images_are_behind_it() {
    let evaluation = bench().all("work", 16).unwrap();
    let rows = &evaluation.numbers.rows;
    let kid: Vec<_> = rows.iter().filter(|row| row.metric == "kid").collect();
    // The pool, random subsets, both ends of four scores.
    assert_eq!(kid.len(), 10);
    assert!(kid.iter().all(|row| row.n_reference == Some(300) && row.se.is_some()));
    assert_eq!(rows.iter().filter(|row| row.metric == "p_kid_holm").count(), 8);
    let without = Bench::new().all("work", 16).unwrap();
    let same = |row: &&crate::store::records::MetricRow| !row.metric.contains("kid");
    let [ours, theirs] = [rows, &without.numbers.rows]
        .map(|rows| rows.iter().filter(same).map(|row| row.value).collect::<Vec<_>>());
    assert_eq!(ours, theirs, "real images move a number that is not of them");
}

#[test]
fn parts_are_shared_by_plans_and_made_by_shards() {
    let bench = bench();
    let whole = bench.all("whole", 16).unwrap();
    let stop = Stop::default();
    for index in 0..3 {
        let run = bench.run("shards", Shard::new(index, 3).unwrap(), &stop);
        bench.generate(&run, 16).unwrap();
        bench.features(&run).unwrap();
    }
    let run = bench.run("shards", Shard::whole(), &stop);
    assert_eq!(evaluate::evaluate(&run, &bench.experiment).unwrap().digest, whole.digest);
    // Another question of the same reference finds them.
    let mut other = bench.experiment.clone();
    other.common.name = "other".to_owned();
    let plan = inputs::plan(&other, "smoke").unwrap();
    assert_ne!(plan.id(), bench.plan.id());
    assert_eq!(plan.real_id(), bench.plan.real_id());
}

#[test]
fn a_part_that_is_missing_or_damaged_is_no_number() {
    let bench = bench();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let path = bench.part("work", StageName::Real, 1);
    let read = || {
        let part = crate::store::features::read(&path, &bench.plan.real_id()).unwrap();
        (part.samples, part.features, part.images_sha256)
    };
    let (before, mut flipped) = (read(), std::fs::read(&path).unwrap());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    publish(&path, &flipped).unwrap();
    let error = evaluate::evaluate(&run, &bench.experiment).unwrap_err();
    assert_eq!(error.exit(), Exit::Integrity, "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(sidecar_path(&path)).unwrap();
    let error = evaluate::evaluate(&run, &bench.experiment).unwrap_err();
    assert_eq!(error.exit(), Exit::Incomplete, "{error}");
    assert!(error.to_string().contains("1 of 3 blocks of real-features"), "{error}");
    bench.features(&run).unwrap();
    assert_eq!(read(), before);
    evaluate::evaluate(&run, &bench.experiment).unwrap();
}

#[test]
fn a_part_of_another_network_is_refused() {
    let bench = bench();
    bench.all("work", 16).unwrap();
    let mut plan = bench.plan.clone();
    plan.work.extractor.as_mut().unwrap().preprocess.push('x');
    assert_ne!(plan.real_id(), bench.plan.real_id());
    // Exchanged by hand: the file says what it is of.
    let path = bench.part("work", StageName::Real, 0);
    let error = crate::store::features::read(&path, &plan.real_id()).unwrap_err();
    assert_eq!(error.exit(), Exit::Input, "{error}");
}

#[test]
fn verification_makes_them_again() {
    let bench = bench();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut extractor =
        || models::open_extractor(&bench.experiment, &bench.plan, &RuntimeOptions::default());
    let networks = Networks { model: &mut || bench.open(), extractor: &mut extractor };
    let done = verify(&run, &bench.experiment, (99, one_network(7)), networks).unwrap();
    // Three blocks of images, three of their features, three of real images.
    assert_eq!(done.n_parts, 9);
    // Real images that are others now: another identity, so another plan.
    let mut images = real_images();
    let first = usize::try_from(bench.plan.real_samples()[0].0).unwrap();
    images.slice_mut(s![first, 0, 0, 0]).fill(255);
    assert_ne!(bench_of(&images, |text| text).plan.id(), bench.plan.id());
}

#[test]
fn what_cannot_be_drawn_is_refused_before_any_work() {
    let bench = bench();
    let refused = |edit: &dyn Fn(&mut Experiment)| {
        let mut experiment = bench.experiment.clone();
        edit(&mut experiment);
        let error = inputs::plan(&experiment, "smoke").unwrap_err();
        assert_eq!(error.exit(), Exit::Input, "{error}");
        error.to_string()
    };
    let scale = |experiment: &mut Experiment| {
        experiment.common.scales.get_mut("smoke").unwrap().n_real = Some(1001);
    };
    assert!(refused(&scale).contains("has 1000 images, scale n_real asks for 1001"));
    let images = |experiment: &mut Experiment| {
        experiment.common.reference.as_mut().unwrap().images = Some("none.npy".to_owned());
    };
    assert!(refused(&images).contains("none.npy"));
    let fewer = real_images().slice(s![..400, .., .., ..]).to_owned();
    let folder = bench.folder.path().join("fewer.npy");
    let mut bytes = Vec::new();
    fewer.permuted_axes([0, 2, 3, 1]).as_standard_layout().write_npy(&mut bytes).unwrap();
    publish(&folder, &bytes).unwrap();
    let others = |experiment: &mut Experiment| {
        experiment.common.reference.as_mut().unwrap().images = Some("fewer.npy".to_owned());
    };
    assert!(refused(&others).contains("the reference statistics are of 1000"));
}

#[test]
fn a_file_that_says_half_of_it_is_refused_with_the_key() {
    let refused = |edit: &dyn Fn(&str) -> String| {
        let text = edit(include_str!("../../experiment/tiny.yaml"));
        let error = Experiment::parse(std::path::Path::new("tiny.yaml"), &text).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{error}");
        error.to_string()
    };
    let real = |n: &str| format!("block_size: 16, n_real: {n},");
    let none = refused(&|text| text.replace("block_size: 16,", &real("300")));
    assert!(none.contains("scales.smoke.n_real: real images are drawn of the reference"), "{none}");
    let named = |text: &str| text.replace("reference.npz}", "reference.npz, images: x.npy}");
    let one = refused(&|text| named(text).replace("block_size: 16,", &real("1")));
    assert!(one.contains("1 real images are no set"), "{one}");
    let reconstruction = include_str!("../../experiment/tiny_reconstruction.yaml");
    let text = reconstruction.replace("n_pool:", "n_real: 10, n_pool:");
    let error = Experiment::parse(std::path::Path::new("r.yaml"), &text).unwrap_err().to_string();
    assert!(error.contains("looks at no features of real images"), "{error}");
}

/// The same images, held against real ones.
fn precision_recall(text: String, k: u32) -> String {
    let old =
        "protocol: {kind: filtering, n_random: 50, curve: {n_parts: 4, n_points: 2, n_random: 10}}";
    assert!(text.contains(old));
    let new = format!("protocol: {{kind: precision_recall, k: {k}, n_random: 50}}");
    let text = text.replace(old, &new).replace("block_size: 32}", "block_size: 32, n_real: 50}");
    text.replace("name: tiny", "name: tiny-pr")
}

#[test]
fn precision_and_recall_take_the_images_and_features_of_a_filter() {
    let (filter, table) = (bench(), bench_of(&real_images(), |text| precision_recall(text, 3)));
    assert_eq!(table.plan.generate_id(), filter.plan.generate_id());
    assert_eq!(table.plan.features_id(), filter.plan.features_id());
    assert_eq!(table.plan.real_id(), filter.plan.real_id());
    assert_ne!(table.plan.id(), filter.plan.id());
    let evaluation = table.all("work", 16).unwrap();
    let rows = &evaluation.numbers.rows;
    let of = |metric: &str| rows.iter().filter(|row| row.metric == metric).count();
    // The pool, random subsets, both ends of four scores, of realism and rarity, and the released ranking.
    assert_eq!((of("precision"), of("coverage"), of("p_recall_holm")), (15, 15, 13));
    assert_eq!(of("spearman"), 4);
}

/// One key in either protocol, and the walks by drawn weights are shared as the pool is.
#[test]
fn generative_uncertainty_is_a_row_of_both_protocols_over_the_same_walks() {
    let uncertain = |text: String| {
        let text = text.replacen("std: 0.5", "std: 0.5\n  bias_variance: 0.02", 1);
        text.replacen("protocol: {", "protocol: {generative_uncertainty: {n_draws: 2}, ", 1)
    };
    let filter = bench_of(&real_images(), uncertain);
    let table = bench_of(&real_images(), |text| uncertain(precision_recall(text, 3)));
    assert_eq!(table.plan.generate_id(), filter.plan.generate_id());
    let rows = table.all("work", 16).unwrap().numbers.rows;
    let own = |metric: &str| {
        let own =
            |row: &&crate::store::records::MetricRow| row.method == METHOD && row.metric == metric;
        rows.iter().filter(own).cloned().collect::<Vec<_>>()
    };
    assert_eq!((own("precision").len(), own("p_recall_holm").len()), (2, 2));
    assert_eq!(own("density")[0].nfe_estimator, Some(100));
    assert_eq!(own("spearman").len(), 1);
}

/// A network whose features are the means of its input, under the released preprocessing.
fn means_as_pytorch_fid() -> String {
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny/extractor.onnx");
    let (bytes, sha256) =
        (std::fs::metadata(network).unwrap().len(), sha256_of_file(network.as_ref()).unwrap());
    format!(
        "format: 1\nkind: extractor\nname: means\nfile: {{path: {network}, sha256: {sha256}, bytes: {bytes}}}\n\
         input: {{name: images, size: 299, channels: 3, layout: NCHW}}\n\
         output: {{name: features, dim: 4}}\npreprocess: pytorch-fid\n\
         weights: {{sha256: {sha256}, origin: none, licence: none}}\n"
    )
}

/// Of a padded image, the mean is that of 64 pixels over 299 x 299.
#[test]
fn the_released_preprocessing_pads_generated_images_and_leaves_real_ones_as_they_are() {
    let made = |generated: &str| {
        let folder = tempfile::tempdir().unwrap();
        publish(&folder.path().join("means.yaml"), means_as_pytorch_fid().as_bytes()).unwrap();
        let path = folder.path().join("means.yaml").display().to_string();
        let bench = bench_of(&real_images(), |text| {
            let features = format!("{{kind: extractor, path: {path}{generated}}}");
            let text = precision_recall(text.replace("{kind: pixels, grid: 2}", &features), 3);
            let text = text.replace("n_pool: 48, n_keep: 40", "n_pool: 10, n_keep: 6");
            text.replace("path: reference.npz, ", "").replace("n_real: 300", "n_real: 9")
        });
        (bench, folder)
    };
    let ((bench, _kept), (same, _too)) = (made(", generated: authors_code"), made(""));
    assert_eq!(bench.plan.generate_id(), same.plan.generate_id());
    assert_eq!(bench.plan.real_id(), same.plan.real_id());
    assert_ne!(bench.plan.features_id(), same.plan.features_id());
    let found = [&bench, &same].map(|bench| {
        bench.all("work", 16).unwrap();
        let stop = Stop::default();
        let run = bench.run("work", Shard::whole(), &stop);
        let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
        let (pool, real) = (evidence.features(0).unwrap(), evidence.reference_features().unwrap());
        let words = bench.plan.protocol.remarks(&evidence).join(" ");
        (pool, real, evidence.maps(0).unwrap().images, words)
    });
    let [(padded, real, images, words), (shared, same_real, ..)] = found;
    assert_eq!(real, same_real);
    assert!(words.contains("padded with zeros"), "{words}");
    for (row, image) in images.outer_iter().enumerate() {
        let red: f64 = image.iter().take(64).map(|level| f64::from(*level) / 255.0).sum();
        let expected = red / (299.0 * 299.0);
        let got = f64::from(padded[[row, 0]]);
        assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
        // Resized and scaled, the same channel is 2 mean - 1, but for the edges of the resize.
        let level = f64::from(shared[[row, 0]]);
        assert!((level - (2.0 * red / 64.0 - 1.0)).abs() < 0.1, "{level} of {red}");
    }
}

#[test]
fn fewer_images_than_neighbours_are_refused_with_the_key() {
    let parse = |edit: &dyn Fn(String) -> String| {
        let text = include_str!("../../experiment/tiny.yaml").to_owned();
        let text = text.replace("path: reference.npz}", "path: reference.npz, images: real.npy}");
        let text = text.replace("block_size: 16,", "block_size: 16, n_real: 300,");
        Experiment::parse(std::path::Path::new("tiny.yaml"), &edit(text))
    };
    let refused = |k: u32, words: &str| {
        let error = parse(&|text| precision_recall(text, k)).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    assert!(parse(&|text| precision_recall(text, 3)).is_ok());
    refused(50, "scales.mini.n_real: of 50 images none has a neighbour number 50");
    refused(40, "scales.smoke.n_keep: of 40 images none has a neighbour number 40");
    refused(0, "protocol.k: neighbour 0");
    let none = parse(&|text| precision_recall(text, 3).replace("n_real: 50", "n_random: 50"));
    let none = none.unwrap_err().to_string();
    assert!(
        none.contains("scales.mini.n_real: this protocol holds images against real ones"),
        "{none}"
    );
}
