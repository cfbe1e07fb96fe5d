use std::io::Read as _;

use super::*;
use crate::model::bundle::precision;

const SHIPPED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");

/// The graphs of the shipped network without its description.
fn graphs_alone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["denoiser.onnx", "denoiser_train.onnx", "weights.safetensors"] {
        std::fs::copy(Path::new(SHIPPED).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn the_shipped_network_is_described_as_its_own_description_does() {
    let folder = graphs_alone();
    let proposal = propose(folder.path(), &Hints::default()).unwrap();
    let path = folder.path().join(MODEL_FILE);
    let got: ModelYaml = crate::config::reader::parse(&path, &proposal.yaml).unwrap();
    let shipped = ModelYaml::read(&Path::new(SHIPPED).join(MODEL_FILE)).unwrap();
    assert_eq!((&got.task, &got.graphs), (&shipped.task, &shipped.graphs));
    assert_eq!((&got.files, &got.schedule), (&shipped.files, &shipped.schedule));
    assert_eq!((got.prediction, got.time()), (shipped.prediction, shipped.time()));
    assert!(proposal.found.iter().any(|line| line.contains("MC-Dropout")), "{:?}", proposal.found);
    assert_eq!(proposal.yaml.matches("CHECK").count(), 7);
}

#[test]
fn what_cannot_be_told_is_asked_for() {
    let empty = tempfile::tempdir().unwrap();
    let message = propose(empty.path(), &Hints::default()).unwrap_err().to_string();
    assert!(message.contains("no .onnx file"), "{message}");
    let folder = graphs_alone();
    let copy = folder.path().join("other.onnx");
    std::fs::copy(folder.path().join("denoiser.onnx"), copy).unwrap();
    let message = propose(folder.path(), &Hints::default()).unwrap_err().to_string();
    assert!(message.contains("denoiser.onnx, denoiser_train.onnx, other.onnx"), "{message}");
    assert!(message.contains("--graph"), "{message}");
    let named = Hints { graph: Some("other.onnx".to_owned()), ..Hints::default() };
    assert!(propose(folder.path(), &named).unwrap().yaml.contains("file: other.onnx"));
    let classes = Hints { classes: Some(10), ..named.clone() };
    let message = propose(folder.path(), &classes).unwrap_err().to_string();
    assert!(message.contains("no input takes a class"), "{message}");
    let image = Hints { image: Some([3, 64, 64]), ..named };
    let message = propose(folder.path(), &image).unwrap_err().to_string();
    assert!(message.contains("--image 3,64,64: `sample` is declared [?, 3, 32, 32]"), "{message}");
    let absent = Hints { graph: Some("none.onnx".to_owned()), ..Hints::default() };
    let message = propose(folder.path(), &absent).unwrap_err().to_string();
    assert!(message.contains("--graph none.onnx: there is no such graph"), "{message}");
}

/// A folder with one of the small graphs.
fn tiny(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name);
    std::fs::copy(graph, folder.path().join("denoiser.onnx")).unwrap();
    folder
}

#[test]
fn a_graph_whose_channels_come_last_is_described_as_one() {
    let folder = tiny("channels_last.onnx");
    let yaml = propose(folder.path(), &Hints::default()).unwrap().yaml;
    assert!(yaml.contains("{file: denoiser.onnx, layout: nhwc, inputs: {"), "{yaml}");
    assert!(yaml.contains("image: [3, "), "{yaml}");
}

#[test]
fn a_one_hot_class_is_one_and_its_width_the_number_of_classes() {
    let folder = tiny("one_hot_class.onnx");
    let proposal = propose(folder.path(), &Hints::default()).unwrap();
    assert!(proposal.yaml.contains("classes: "), "{}", proposal.yaml);
    assert!(!proposal.yaml.contains("classes: null") && !proposal.yaml.contains("y: null"));
    assert!(proposal.check.iter().any(|line| line.starts_with("task.classes: ")));
    let many = Hints { classes: Some(1_000), ..Hints::default() };
    let message = propose(folder.path(), &many).unwrap_err().to_string();
    assert!(message.contains("--classes 1000: `") && message.contains("has room for"), "{message}");
}

#[test]
fn a_graph_of_training_alone_is_no_network() {
    let folder = tiny("train_dropout.onnx");
    let message = propose(folder.path(), &Hints::default()).unwrap_err().to_string();
    let expected = "denoiser.onnx can only be a graph of training, since its Dropout nodes are live: export the network in evaluation mode too";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn an_input_of_another_kind_is_bound_to_the_file_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny/text_condition.onnx");
    std::fs::copy(graph, folder.path().join("text_condition.onnx")).unwrap();
    let message = propose(folder.path(), &Hints::default()).unwrap_err().to_string();
    let missing = "encoder_hidden_states.npy: is missing: the graph takes `encoder_hidden_states`";
    assert!(message.contains(missing), "{message}");
    let path = folder.path().join("encoder_hidden_states.npy");
    let mut bytes = Vec::new();
    let value = ndarray::Array3::<f32>::zeros((1, 2, 3));
    ndarray_npy::WriteNpyExt::write_npy(&value, &mut bytes).unwrap();
    crate::store::publish(&path, &bytes).unwrap();
    let yaml = propose(folder.path(), &Hints::default()).unwrap().yaml;
    let bound = "conditions:\n  \"encoder_hidden_states\": {file: \"encoder_hidden_states.npy\"}";
    assert!(yaml.contains(bound), "{yaml}");
    assert!(yaml.contains("  \"encoder_hidden_states.npy\": {sha256: "), "{yaml}");
}

#[test]
fn a_state_that_is_no_image_is_a_latent_of_the_decoder_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny");
    let packed =
        concat!(env!("CARGO_MANIFEST_DIR"), "/graph/tests/data/public/dit_traced_17.onnx.gz");
    let (mut bytes, packed) = (Vec::new(), std::fs::File::open(packed).unwrap());
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    crate::store::publish(&folder.path().join("denoiser.onnx"), &bytes).unwrap();
    let hints = Hints { classes: Some(4), ..Hints::default() };
    let message = propose(folder.path(), &hints).unwrap_err().to_string();
    assert!(message.contains("the state has 4 channels, which is a latent"), "{message}");
    std::fs::copy(tiny.join("decoder_8.onnx"), folder.path().join("decoder.onnx")).unwrap();
    let proposal = propose(folder.path(), &hints).unwrap();
    let latent = "task: {kind: latent, shape: [4, 8, 8], scale: 0.18215, decoder: \"decoder.onnx\", classes: 4}   # CHECK scale";
    assert!(proposal.yaml.contains(latent), "{}", proposal.yaml);
    assert!(proposal.check.iter().any(|line| line.starts_with("task.scale: 0.18215 is a guess")));
}

/// `dubench graph half` and other converters: tables say in which precision a network works, so the description must.
#[test]
fn a_network_in_half_precision_is_described_as_one() {
    let (source, folder) = (graphs_alone(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let wide = Model::read(&source.path().join("denoiser.onnx")).unwrap();
    let narrow = crate::graph::half::half(&wide).unwrap();
    narrow.write(&path("denoiser.onnx"), crate::graph::Weights::Auto).unwrap();
    let yaml = propose(folder.path(), &Hints::default()).unwrap().yaml;
    assert!(yaml.contains("\nprecision: float16\n"), "{yaml}");
    crate::store::publish(&path(MODEL_FILE), yaml.as_bytes()).unwrap();
    let model = ModelYaml::read(&path(MODEL_FILE)).unwrap();
    precision::check(folder.path(), &model).unwrap();
    let wide = ModelYaml { precision: PrecisionYaml::Float32, ..model };
    let message = precision::check(folder.path(), &wide).unwrap_err().to_string();
    let expected = "precision is float32, and most weights of denoiser.onnx are float16: write `precision: float16`";
    assert!(message.contains(expected), "{message}");
}

/// `dubench graph half --weights` and `scripts/export`: tables say nothing, for the arithmetic is that of float32.
#[test]
fn weights_that_are_stored_in_half_are_described_as_such() {
    let (source, folder) = (graphs_alone(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let wide = Model::read(&source.path().join("denoiser.onnx")).unwrap();
    let small = crate::graph::stored::in_half(&wide).unwrap();
    small.write(&path("denoiser.onnx"), crate::graph::Weights::Auto).unwrap();
    let yaml = propose(folder.path(), &Hints::default()).unwrap().yaml;
    assert!(yaml.contains("\nstorage: float16\n") && !yaml.contains("precision"), "{yaml}");
    crate::store::publish(&path(MODEL_FILE), yaml.as_bytes()).unwrap();
    let model = ModelYaml::read(&path(MODEL_FILE)).unwrap();
    let found = precision::check(folder.path(), &model).unwrap();
    assert_eq!(found.computed, PrecisionYaml::Float32);
    assert_eq!(found.stored, PrecisionYaml::Float16);
    let silent = ModelYaml { storage: None, ..model.clone() };
    let message = precision::check(folder.path(), &silent).unwrap_err().to_string();
    let expected = "storage is float32, and most weights of denoiser.onnx are stored in float16: write `storage: float16`";
    assert!(message.contains(expected), "{message}");
    let narrow = ModelYaml { precision: PrecisionYaml::Float16, ..model };
    let message = precision::check(folder.path(), &narrow).unwrap_err().to_string();
    assert!(message.contains("denoiser.onnx are float32: write `precision: float32`"), "{message}");
}
