//! Bundles that are refused: of another kind, damaged, wrongly described.

use super::*;

#[test]
fn a_graph_that_is_no_encoder_is_refused() {
    let files = ["latent_denoiser.onnx", "decoder.onnx"];
    let named =
        LATENT.replace("decoder: decoder.onnx", "decoder: decoder.onnx, encoder: decoder.onnx");
    let folder = bundle(&named, &files);
    let error = open_encoder(folder.path(), &RuntimeOptions::default()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("`latent` has shape [?, 4, 2, 2], expected [batch, 3, H, W]"), "{text}");
    let inspected = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None);
    assert_eq!(inspected.unwrap_err().to_string(), text);
    let none = open_encoder(bundle(LATENT, &files).path(), &RuntimeOptions::default());
    assert!(none.unwrap().is_none());
    let missing = LATENT.replace("decoder: decoder.onnx", "decoder: decoder.onnx, encoder: e.onnx");
    let unlisted = refusal(&bundle(&missing, &files));
    assert!(unlisted.contains("task.encoder: `e.onnx` has no entry under files"), "{unlisted}");
}

/// A batch that stands in the graph while its input is declared open: no raw error of the runtime.
#[test]
fn a_batch_baked_into_the_graph_is_refused_with_its_size() {
    let folder = bundle(&PLAIN.replace("quarter.onnx", "baked_batch.onnx"), &["baked_batch.onnx"]);
    let inspected = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None);
    for error in [open(&folder).unwrap_err(), inspected.unwrap_err()] {
        assert_eq!(error.exit(), Exit::Input);
        let text = error.to_string();
        for part in [
            "baked_batch.onnx: node rows (Reshape): a batch of 2 is baked in",
            "input sample",
            "re-export",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn times_that_do_not_fit_the_schedule_are_refused() {
    for (from, to, expected) in [
        ("time: {kind: sigma}", "", "time: must be given: train_step counts training steps"),
        ("time: {kind: sigma}", "timestep: {offset: 1}", "time: must be given"),
        ("{kind: sigma}", "{kind: sigma}\ntimestep: {offset: 0}", "timestep: stands beside time"),
        ("{kind: sigma}", "{kind: sigma, scale: 0}", "scale not 0"),
        ("{kind: edm}", "{kind: edm, sigma_max: 0.001}", "0 < sigma_min < sigma_max"),
        ("{kind: edm}", "{kind: edm, sigma: 3}", "unknown field `sigma`"),
    ] {
        assert!(EDM.contains(from), "{from}");
        let folder = bundle(&EDM.replace(from, to), &["edm_denoised.onnx"]);
        assert!(refusal(&folder).contains(expected), "{}", refusal(&folder));
    }
    let raw = PLAIN.replace("prediction: epsilon", "prediction: edm_raw");
    let error = refusal(&bundle(&raw, &["quarter.onnx"]));
    assert!(error.contains("prediction: edm_raw is scaled by the sigma_data"), "{error}");
}

#[test]
fn a_flipped_bit_a_cut_and_an_added_byte_are_damage() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let path = folder.path().join("quarter.onnx");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    crate::store::publish(&path, &bad).unwrap();
    assert!(matches!(open(&folder), Err(ModelError::Integrity { .. })));
    let longer = [good.as_slice(), b"x"].concat();
    for other in [&good[..good.len() - 1], longer.as_slice()] {
        crate::store::publish(&path, other).unwrap();
        let error = open(&folder).unwrap_err();
        assert_eq!(error.exit(), Exit::Integrity);
        assert!(error.to_string().contains("model.yaml promises 398"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(refusal(&folder).contains("cannot be read"), "{}", refusal(&folder));
}

#[test]
fn external_weights_must_be_listed() {
    let folder = bundle(CLASSES, &["external.onnx", "external.bin"]);
    describe(folder.path(), CLASSES, &["external.onnx"]);
    assert!(refusal(&folder).contains("its weights lie in `external.bin`"), "{}", refusal(&folder));
}

#[cfg(unix)]
#[test]
fn links_of_both_kinds_are_refused() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let (path, other) = (folder.path().join("quarter.onnx"), folder.path().join("other.onnx"));
    fs::hard_link(&path, &other).unwrap();
    assert!(refusal(&folder).contains("has 2 names (hard links)"), "{}", refusal(&folder));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    assert!(refusal(&folder).contains("is a symbolic link"), "{}", refusal(&folder));
}

#[test]
fn wrong_descriptions_are_refused_with_their_key() {
    for (from, to, expected) in [
        ("range: [-1, 1]", "range: [0, 255]", "task.range: is [0, 255]"),
        ("classes: null", "classes: 5", "graphs.denoiser.inputs.y: must name an input"),
        ("prediction: epsilon", "prediction: noise", "unknown variant `noise`"),
        ("timestep: {offset: 0}", "timestep: {offsett: 0}", "unknown field `offsett`"),
        ("beta_end: 0.02", "beta_end: 2", "beta runs from 0.0001 to 2"),
        ("[3, 4, 4]", "[3, 4, 5]", "`sample` has shape [?, 3, 4, 4], expected [batch, 3, 4, 5]"),
        ("t: timestep", "t: null", "graphs.denoiser.inputs.t: is null or empty, expected a name"),
        ("t: timestep", "t: time", "there is no input `time`, the inputs are: sample, timestep"),
        ("file: quarter.onnx", "file: ../quarter.onnx", "has no entry under files"),
    ] {
        assert!(PLAIN.contains(from), "{from}");
        let folder = bundle(&PLAIN.replace(from, to), &["quarter.onnx"]);
        let error = refusal(&folder);
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_listed_path_may_not_leave_the_folder() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let path = folder.path().join("model.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let hash = "0".repeat(64);
    let entry = format!("files:\n  ../secret: {{sha256: '{hash}', bytes: 1}}\n");
    crate::store::publish(&path, text.replace("files:\n", &entry).as_bytes()).unwrap();
    assert!(refusal(&folder).contains("`../secret` leaves the bundle"), "{}", refusal(&folder));
}

#[test]
fn a_model_of_another_format_is_refused() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let path = folder.path().join("model.yaml");
    let text = fs::read_to_string(&path).unwrap().replace("format: 1", "format: 2");
    crate::store::publish(&path, text.as_bytes()).unwrap();
    assert!(
        refusal(&folder).contains("format: is 2, this program reads 1"),
        "{}",
        refusal(&folder)
    );
}

#[test]
fn of_damaged_bundles_none_is_taken_for_the_one_it_was() {
    let body = format!("{CLASSES}  train: {{file: train_dropout.onnx}}\n");
    let folder = bundle(&body, &["external.onnx", "external.bin", "train_dropout.onnx"]);
    let names = ["model.yaml", "external.onnx", "external.bin", "train_dropout.onnx"];
    // What opening does before a runtime sees the graphs.
    let read =
        || super::super::files::check(folder.path(), &super::super::open::describe(folder.path())?);
    let whole = read().unwrap();
    let (mut n, mut refused) = (0, 0);
    for name in names {
        let path = folder.path().join(name);
        let pristine = fs::read(&path).unwrap();
        for index in 0..150 {
            crate::store::publish(&path, &damaged(&pristine, index)).unwrap();
            n += 1;
            match read() {
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error.exit(), Exit::Input | Exit::Integrity), "{error}");
                }
                // A word for people may change in the description: its hash does, and with it every plan.
                Ok(hashes) => assert!(name == "model.yaml" && hashes != whole, "{name} {index}"),
            }
        }
        crate::store::publish(&path, &pristine).unwrap();
    }
    assert_eq!(read().unwrap(), whole);
    println!("{n} damages of a bundle: {refused} refused, the others other models");
    assert!(refused >= 450, "{refused} of {n}");
}

#[test]
fn a_description_that_is_too_long_or_grows_without_end_is_refused() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let path = folder.path().join("model.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let mut bomb = text.replace(
        "provenance: {licence: MIT, fid: null}",
        "provenance:\n  x0: &x0 [a,a,a,a,a,a,a,a,a]",
    );
    for level in 1..30 {
        let items = vec![format!("*x{}", level - 1); 9].join(",");
        bomb += &format!("  x{level}: &x{level} [{items}]\n");
    }
    crate::store::publish(&path, bomb.as_bytes()).unwrap();
    assert!(refusal(&folder).contains("repetition limit"), "{}", refusal(&folder));
    let long = text + &"# and so on\n".repeat(100_000);
    crate::store::publish(&path, long.as_bytes()).unwrap();
    assert!(refusal(&folder).contains("at most 1048576 are read"), "{}", refusal(&folder));
}

#[test]
fn sizes_that_no_memory_holds_are_refused_with_their_key() {
    for (from, to, expected) in [
        ("[3, 4, 4]", "[3, 4294967296, 4294967296]", "task.image: is [3, 4294967296, 4294967296]"),
        (
            "n_train_steps: 1000",
            "n_train_steps: 4294967295",
            "schedule.n_train_steps: is 4294967295",
        ),
    ] {
        assert!(PLAIN.contains(from), "{from}");
        let folder = bundle(&PLAIN.replace(from, to), &["quarter.onnx"]);
        assert!(refusal(&folder).contains(expected), "{}", refusal(&folder));
    }
}
