//! Starts that a file gives.

use crate::model::onnx::RuntimeOptions;
use crate::plan::Shard;
use crate::stage::Stop;
use crate::stage::generate::starts::{initial_labels, initial_states};
use crate::stage::open::inputs;
use crate::stage::tests::Bench;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::ImagePart;
use crate::store::starts::write;
use crate::units::{ClassLabel, SampleId};

const SHAPE: [usize; 3] = [3, 8, 8];

/// Parts of all blocks, without the times that they took.
fn parts(bench: &Bench, batch: usize) -> Vec<ImagePart> {
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, batch).unwrap();
    let id = run.layout.stage_id(StageName::Generate);
    let read = |block: crate::plan::Block| {
        let path = run.layout.part(StageName::Generate, block.id);
        let part = part::read(&path, id, Parts::All).unwrap();
        let scores = part.scores.into_iter().map(|mut method| {
            method.network_seconds = 0.0;
            method
        });
        let scores = scores.collect();
        ImagePart { scores, seconds: 0.0, network_seconds: 0.0, ..part }
    };
    bench.plan.blocks().map(read).collect()
}

/// A bench whose folder holds `starts.npz`: `n` starts and their classes by `seed`.
fn bench(text: &str, (seed, n): (u64, u64), classes: Option<u32>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<SampleId> = (0..n).map(SampleId).collect();
    let classes: Option<Vec<ClassLabel>> = classes.map(|k| initial_labels(seed, &samples, k));
    let row = |sample| initial_states(seed, &[sample], SHAPE).into_raw_vec_and_offset().0;
    let path = folder.path().join("starts.npz");
    write(&path, (n, SHAPE), row, classes.as_deref()).unwrap();
    Bench::in_folder(folder, |_| text.to_owned())
}

fn from_file(text: &str) -> String {
    format!("{text}starts: {{path: starts.npz}}\n")
}

#[test]
fn a_run_from_exported_starts_is_the_run_from_the_seed_bit_for_bit() {
    let filter = include_str!("../../../experiment/tiny.yaml");
    let classes = filter.replace("  std: 0.5\n", "  std: 0.5\n  classes: 3\n");
    let guidance = include_str!("../../../experiment/tiny_guidance.yaml").to_owned();
    let moments = include_str!("../../../experiment/tiny_bayesdiff.yaml").to_owned();
    for (text, n_classes) in [(classes, Some(3)), (guidance, None), (moments, None)] {
        let text = text
            .replace("n_pool: 48, n_keep: 40", "n_pool: 20, n_keep: 16")
            .replace("n_pool: 24, n_subset: 16", "n_pool: 8, n_subset: 8");
        let seeded = bench(&text, (7, 1), None);
        let given = bench(&from_file(&text), (7, 48), n_classes);
        assert_ne!(given.plan.generate_id(), seeded.plan.generate_id());
        // Batches of other sizes: rows are read by sample.
        assert_eq!(parts(&given, 5), parts(&seeded, 16));
        let other = bench(&from_file(&text), (8, 48), n_classes);
        assert_ne!(other.plan.generate_id(), given.plan.generate_id());
        assert_ne!(parts(&other, 16)[0].images, parts(&given, 16)[0].images);
    }
}

#[test]
fn starts_that_do_not_fit_are_refused_where_the_work_is_planned() {
    let text = include_str!("../../../experiment/tiny.yaml");
    let refusal = |text: &str, n: u64, classes: Option<u32>| {
        let bench = bench(&text.replace("starts:", "#"), (7, n), classes);
        let path = bench.folder.path().join("given.yaml");
        let experiment = crate::experiment::Experiment::parse(&path, text).unwrap();
        inputs::plan(&experiment, "smoke").unwrap_err().to_string()
    };
    let few = refusal(&from_file(text), 47, None);
    assert!(few.contains("arm pool: starts: the file has 47 starts, 48 are asked for"), "{few}");
    let with_classes = |n| text.replace("  std: 0.5\n", &format!("  std: 0.5\n  classes: {n}\n"));
    let none = refusal(&from_file(&with_classes(3)), 48, None);
    assert!(none.contains("takes one of 3 classes: add y [n] beside x_T"), "{none}");
    let beyond = refusal(&from_file(&with_classes(2)), 48, Some(9));
    assert!(beyond.contains("the classes of analytic-gaussian are 0 to 1"), "{beyond}");
    let smaller = refusal(&from_file(&text.replace("[3, 8, 8]", "[3, 4, 4]")), 48, None);
    let expected = "its states are [3, 8, 8], those of analytic-gaussian [3, 4, 4]";
    assert!(smaller.contains(expected), "{smaller}");
    let missing = from_file(text).replace("starts.npz", "nowhere.npz");
    assert!(refusal(&missing, 48, None).contains("nowhere.npz"));
}

/// What a plan of such starts costs is what it costs from the seed.
#[test]
fn a_dry_run_needs_no_starts() {
    let text = include_str!("../../../experiment/tiny.yaml");
    let given = bench(&from_file(text), (7, 48), None);
    let cost = crate::stage::cost::cost(&given.experiment, &given.plan, &RuntimeOptions::default());
    assert_eq!(cost.unwrap().arms[0].evaluations.forward, 50 + 4 * 5 + 2 * 5);
}
