//! What was damaged, exchanged or made by another plan is never a number.

use super::{Bench, one_network};
use crate::exit::{Exit, Exits};
use crate::model::onnx::RuntimeOptions;
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::open::models;
use crate::stage::verify::{Networks, verify};
use crate::stage::{Stop, generate, shelf};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::ImagePart;
use crate::store::sidecar::{seal, sidecar_path};
use crate::store::{Provenance, StoreError, features, publish};

#[test]
fn flipped_bits_in_any_part_are_never_a_number() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    for stage in [StageName::Generate, StageName::Features] {
        let path = bench.part("work", stage, 1);
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 11) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            publish(&path, &flipped).unwrap();
            let error = bench.all("work", 16).unwrap_err();
            assert_eq!(error.exit(), Exit::Integrity, "byte {at}: {error}");
            assert!(error.to_string().contains("block-000001.parquet"), "{error}");
        }
        publish(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(bench.all("work", 16).unwrap_err().exit(), Exit::Integrity);
        publish(&path, &bytes).unwrap();
    }
    assert!(bench.all("work", 16).unwrap().found);
}

#[test]
fn features_follow_the_images_that_are_there() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let mut part = part::read(&path, &stage_id, Parts::All).unwrap();
    part.images[[0, 0, 0, 0]] ^= 1;
    let provenance = Provenance::new("closed form", "cpu");
    let other = part::to_bytes(&path, &part, &stage_id, &provenance).unwrap();
    publish(&path, &other).unwrap();
    seal(&path, &other).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().contains("images sha256"), "{error}");
    std::fs::remove_file(bench.part("work", StageName::Features, 1)).unwrap();
    bench.features(&run).unwrap();
    assert!(!evaluate(&run, &bench.experiment).unwrap().found);
}

#[test]
fn an_unsealed_part_is_taken_only_for_what_was_written() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let expected = part::read(&path, &stage_id, Parts::All).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let block = bench.plan.blocks().nth(1).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 16;
        let _ = std::fs::remove_file(sidecar_path(&path));
        publish(&path, &flipped).unwrap();
        match generate::is_done(&run, &block) {
            Err(_) => refused += 1,
            // A bit that carries nothing: statistics of a column, an unread field of the footer.
            Ok(done) => {
                let got = part::read(&path, &stage_id, Parts::All).unwrap();
                assert!(done && part::content_digest(&got) == part::content_digest(&expected));
            }
        }
    }
    assert!(refused > 100, "{refused} of 150 flips were refused");
}

#[test]
fn the_loser_of_a_race_compares_digests() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    let path = bench.part("work", StageName::Generate, 0);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let part = part::read(&path, &stage_id, Parts::All).unwrap();
    let put = |part: &ImagePart| {
        let provenance = Provenance::new("closed form", "cpu");
        let bytes = part::to_bytes(&path, part, &stage_id, &provenance).unwrap();
        let digest = part::content_digest(part);
        let id = stage_id.clone();
        let checks = shelf::Checks {
            claimed: Box::new(move |path| Ok(part::claims(path, &id)?.content_sha256)),
            actual: Box::new(|_| panic!("the part is sealed")),
        };
        shelf::put(&path, &bytes, &digest, &checks)
    };
    let mut slower = part.clone();
    slower.seconds *= 2.0;
    put(&slower).unwrap();
    let mut other = part;
    other.scores[0].score[3] *= 1.0 + 1e-15;
    let error = put(&other).unwrap_err();
    assert!(matches!(error, StoreError::Disagreement { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Integrity);
}

#[test]
fn parts_of_another_plan_are_refused() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let other = Bench::edited(|text| text.replace("seed: 7", "seed: 8"));
    let stop = Stop::default();
    let run = other.run("work", Shard::whole(), &stop);
    let target = other.part("work", StageName::Generate, 0);
    let source = bench.part("work", StageName::Generate, 0);
    std::fs::copy(sidecar_path(&source), sidecar_path(&target)).unwrap();
    std::fs::copy(source, target).unwrap();
    let error = other.generate(&run, 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Input, "{error}");
    assert!(error.to_string().contains("another plan"), "{error}");
}

#[test]
fn features_of_other_images_are_refused() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let path = bench.part("work", StageName::Features, 0);
    let id = run.layout.stage_id(StageName::Features).to_owned();
    let mut part = features::read(&path, &id).unwrap();
    part.images_sha256 = "0".repeat(64);
    let provenance = Provenance::new("none", "cpu");
    let bytes = features::to_bytes(&path, &part, &id, &provenance).unwrap();
    publish(&path, &bytes).unwrap();
    seal(&path, &bytes).unwrap();
    let error = bench.features(&run).unwrap_err();
    assert_eq!(error.exit(), Exit::Input, "{error}");
    assert!(error.to_string().contains("images sha256"), "{error}");
}

#[test]
fn verification_recomputes_blocks_and_numbers_and_finds_what_was_exchanged() {
    let bench = Bench::new();
    let digest = bench.all("work", 16).unwrap().digest;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let verify = |n| {
        let mut extractor =
            || models::open_extractor(&bench.experiment, &bench.plan, &RuntimeOptions::default());
        let networks = Networks { model: &mut || bench.open(), extractor: &mut extractor };
        verify(&run, &bench.experiment, (n, one_network(7)), networks)
    };
    let verification = verify(2).unwrap();
    assert_eq!((verification.n_parts, verification.recomputed.len()), (6, 2));
    assert_eq!(verification.metrics_sha256, digest);
    assert_eq!(verify(99).unwrap().recomputed, [0, 1, 2]);
    // A part with a sound hash and a sound digest, which no seed gives.
    let path = bench.part("work", StageName::Generate, 2);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let mut part = part::read(&path, &stage_id, Parts::All).unwrap();
    part.scores[0].score[0] *= 2.0;
    let provenance = Provenance::new("closed form", "cpu");
    let bytes = part::to_bytes(&path, &part, &stage_id, &provenance).unwrap();
    publish(&path, &bytes).unwrap();
    seal(&path, &bytes).unwrap();
    let error = verify(99).unwrap_err();
    assert_eq!(error.exit(), Exit::Integrity, "{error}");
    assert!(error.to_string().contains("block-000002"), "{error}");
    assert!(verify(0).unwrap_err().to_string().contains("metrics.parquet"));
    stop.request();
    assert_eq!(verify(2).unwrap_err().exit(), Exit::Interrupted);
}
