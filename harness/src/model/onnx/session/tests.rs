//! Sessions: bits, memory, what is refused.

use std::path::Path;

use ndarray::{Array1, Array4, ArrayD};
use ort::memory::AllocationDevice;

use super::{
    Bindings, Device, Feed, GraphSource, OnnxSession, Residence, RuntimeOptions, Transfer,
};
use crate::model::ModelError;

fn tiny(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

fn open(name: &str) -> OnnxSession {
    let path = tiny(name);
    OnnxSession::open(name, GraphSource::File(&path), &RuntimeOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// `0.25 sample` of so many rows that begin at a value.
fn call(session: &mut OnnxSession, rows: usize, from: f32) -> ArrayD<f32> {
    let x = Array4::from_shape_fn((rows, 3, 4, 4), |(b, c, h, w)| {
        from + (b * 48 + c * 16 + h * 4 + w) as f32 / 7.0
    });
    let t = Array1::from_elem(rows, 5_i64);
    let feeds =
        [("sample", Feed::F32(x.view().into_dyn())), ("timestep", Feed::I64(t.view().into_dyn()))];
    let eps = session.run_one(&feeds, "eps").unwrap();
    assert_eq!(eps[[rows - 1, 0, 0, 0]], 0.25 * x[[rows - 1, 0, 0, 0]]);
    eps
}

/// Both places where buffers can lie; the device is the CPU itself.
fn bound() -> [Bindings; 2] {
    [Residence::Host, Residence::Device(AllocationDevice::CPU, 0)].map(Bindings::new)
}

fn n_made(session: &OnnxSession) -> usize {
    match &session.transfer {
        Transfer::Direct => 0,
        Transfer::Bound(bindings) => bindings.n_made(),
    }
}

#[test]
fn bound_calls_give_the_bits_of_direct_ones_and_their_buffers_stay() {
    let calls = [(3, 0.0), (3, 1.5), (2, -1.0), (3, 7.0), (2, 0.1)];
    let mut session = open("quarter.onnx");
    let direct = calls.map(|(rows, from)| call(&mut session, rows, from));
    for bindings in bound() {
        session.transfer = Transfer::Bound(bindings);
        assert_eq!(calls.map(|(rows, from)| call(&mut session, rows, from)), direct);
        assert_eq!(n_made(&session), 2);
        // More sets of shapes than are kept: each is made anew, none is mistaken for another.
        (1..=6).chain(1..=6).for_each(|rows| drop(call(&mut session, rows, 3.0)));
        assert!(n_made(&session) > 6);
    }
}

/// The decoder of an export with `--fp16`: it is fed float32 and answers in it, what it answers has eleven bits.
#[test]
fn half_precision_is_rounded_to_and_widened_at_the_border_of_the_graph() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/pipelines/half/vae_decoder/model.onnx");
    let options = RuntimeOptions::default();
    let mut session = OnnxSession::open("half", GraphSource::File(&path), &options).unwrap();
    let x = Array4::from_shape_fn((2, 4, 8, 8), |(b, c, h, w)| {
        ((b * 256 + c * 64 + h * 8 + w) as f32 * 0.37).sin()
    });
    let rounded = x.mapv(|value| half::f16::from_f32(value).to_f32());
    assert_ne!(x, rounded);
    let call = |session: &mut OnnxSession, x: &Array4<f32>| {
        session.run_one(&[("latent_sample", Feed::F32(x.view().into_dyn()))], "sample").unwrap()
    };
    let direct = call(&mut session, &x);
    assert_eq!(direct.shape(), [2, 3, 16, 16]);
    assert!(direct.iter().all(|value| half::f16::from_f32(*value).to_f32() == *value));
    assert_eq!(call(&mut session, &rounded), direct);
    // A view whose axes are turned is fed as it is, not as it lies.
    let turned = x.clone().reversed_axes().as_standard_layout().to_owned();
    let turned = turned.view().reversed_axes();
    let feed = [("latent_sample", Feed::F32(turned.into_dyn()))];
    assert_eq!(session.run_one(&feed, "sample").unwrap(), direct);
    let [host, _] = bound();
    session.transfer = Transfer::Bound(host);
    for _ in 0..3 {
        assert_eq!(call(&mut session, &x), direct);
    }
}

/// Pages that the process has in memory, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

/// A run whose output is not used again leaves its megabyte behind: a thousand of them are a gigabyte.
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_bound_calls_take_no_more_memory_than_ten() {
    for bindings in bound() {
        let mut session = open("quarter.onnx");
        session.transfer = Transfer::Bound(bindings);
        let rows = 5500;
        (0..10).for_each(|_| drop(call(&mut session, rows, 0.0)));
        let before = resident();
        (0..1000).for_each(|_| drop(call(&mut session, rows, 1.0)));
        let growth = resident().saturating_sub(before);
        assert!(growth < 128 << 20, "{} MiB more", growth >> 20);
        assert_eq!(n_made(&session), 1);
    }
}

#[test]
fn buffers_on_a_device_ask_for_outputs_of_known_shapes() {
    let mut session = open("quarter.onnx");
    let [_, resident] = bound();
    session.transfer = Transfer::Bound(resident);
    for dim in &mut session.outputs[0].dims {
        *dim = None;
    }
    let x = Array4::zeros((1, 3, 4, 4));
    let t = Array1::from(vec![0_i64]);
    let feeds =
        [("sample", Feed::F32(x.view().into_dyn())), ("timestep", Feed::I64(t.view().into_dyn()))];
    let error = session.run_one(&feeds, "eps").unwrap_err().to_string();
    assert!(error.contains("the shape of output `eps` is not known"), "{error}");
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_never_the_cpu() {
    let path = tiny("quarter.onnx");
    for (device, remedy) in
        [(Device::Cuda(0), "dubench setup cuda"), (Device::OpenVino, "dubench setup openvino")]
    {
        let options = RuntimeOptions { device, ..RuntimeOptions::default() };
        match OnnxSession::open("quarter", GraphSource::File(&path), &options) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&device.to_string()) && text.contains(remedy), "{text}");
            }
            // On a machine with a working build for it the session must really be there.
            Ok(session) => {
                let is_bound = matches!(session.transfer, Transfer::Bound(_));
                assert_eq!(is_bound, device == Device::Cuda(0));
            }
        }
    }
}

#[test]
fn what_the_device_has_no_kernel_for_is_refused_by_node() {
    let path = tiny("bfloat16.onnx");
    let opened = OnnxSession::open("half", GraphSource::File(&path), &RuntimeOptions::default());
    let error = opened.unwrap_err();
    assert!(matches!(error, ModelError::Bundle { .. }), "{error}");
    let text = error.to_string();
    let expected = format!("half, {}: node scaled (Mul) has no kernel on cpu", path.display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains("export the network in float32 or float16"), "{text}");
}

#[test]
fn a_damaged_graph_is_an_error_with_its_name() {
    let bytes = std::fs::read(tiny("quarter.onnx")).unwrap();
    let cut = GraphSource::Bytes(&bytes[..bytes.len() / 2]);
    let error =
        OnnxSession::open("halved", cut, &RuntimeOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("halved on cpu: the graph cannot be loaded"), "{error}");
}

#[test]
fn an_output_that_is_not_there_is_named() {
    let mut session = open("quarter.onnx");
    let x = Array4::zeros((1, 3, 4, 4));
    let t = Array1::from(vec![0_i64]);
    let feeds =
        [("sample", Feed::F32(x.view().into_dyn())), ("timestep", Feed::I64(t.view().into_dyn()))];
    let error = session.run_one(&feeds, "noise").unwrap_err().to_string();
    assert!(error.contains("no output `noise`"), "{error}");
}
