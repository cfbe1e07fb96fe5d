//! `dubench doctor`: what this machine has, and what is missing.

use std::path::Path;

use bytesize::ByteSize;
use serde::Serialize;

use super::answer::Context;
use super::arguments::DoctorOptions;
use super::error::CliError;
use super::extractor::description;
use super::session::runtime as runtime_options;
use super::{benchmark, found, memory};
use crate::config::ExtractorYaml;
use crate::exit::Exit;
use crate::installed;
use crate::model::onnx::cuda_libraries::{
    CudaLibrary, LIBRARIES_COMMAND, LIBRARIES_VARIABLE, cuda_libraries, driver,
};
use crate::model::onnx::{Device, OnnxExtractor, environment};

const EXTRACTOR: &str = "fid-inception";
/// Bundle that is measured where none is named.
const SHIPPED: &str = "models/ddpm-cifar10-small";

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    detail: String,
}

pub(super) fn run(options: &DoctorOptions, context: Context) -> Result<Exit, CliError> {
    if let Some(bundle) = &options.benchmark {
        let shipped = || found::shipped(Path::new(SHIPPED));
        return benchmark::run(&bundle.clone().unwrap_or_else(shipped), options, context);
    }
    let device = runtime_options(&options.device, 1)?.device;
    let mut findings = vec![installation(), cache(), library()];
    if let Device::Cuda(_) = device {
        findings.extend(cuda());
    }
    findings.extend([
        extractor(options)?,
        Finding {
            what: "cores",
            ok: true,
            detail: std::thread::available_parallelism().map_or(0, usize::from).to_string(),
        },
        Finding {
            what: "memory",
            ok: true,
            detail: format!("{} free", ByteSize(memory::free_bytes()).display().iec()),
        },
    ]);
    let text: Vec<String> = findings
        .iter()
        .map(|finding| {
            let mark = if finding.ok { "ok     " } else { "missing" };
            format!("{mark} {:12} {}", finding.what, finding.detail)
        })
        .collect();
    context.answer(&findings, &text.join("\n"))?;
    let healthy = findings.iter().all(|finding| finding.ok);
    Ok(if healthy { Exit::Complete } else { Exit::Resources })
}

fn installation() -> Finding {
    let detail = match (installed::prefix(), installed::data()) {
        (Some(_), Some(data)) => format!("data in {}", data.display()),
        (Some(prefix), None) => format!("in {}, without data", prefix.display()),
        (None, _) => "built in a checkout".to_owned(),
    };
    Finding { what: "installed", ok: true, detail }
}

fn cache() -> Finding {
    let (ok, detail) = match environment::cache_root() {
        Ok(path) => (path.is_dir(), path.display().to_string()),
        Err(error) => (false, error.to_string()),
    };
    Finding { what: "cache", ok, detail }
}

fn library() -> Finding {
    let (ok, detail) = match environment::runtime(None) {
        Ok(runtime) => {
            let source = environment::library_source(None);
            (true, format!("{} at {} ({source})", runtime.version, runtime.library.display()))
        }
        Err(error) => (false, error.to_string()),
    };
    Finding { what: "ONNX Runtime", ok, detail }
}

/// What sessions on a GPU need beside the feature network: each that is missing with the command that brings it.
fn cuda() -> [Finding; 3] {
    let build = match environment::runtime(None) {
        Ok(runtime) => {
            let provider = runtime.library.with_file_name("libonnxruntime_providers_cuda.so");
            let missing = "the library has no CUDA provider beside it: scripts/setup.sh cuda, then export ORT_DYLIB_PATH=$(scripts/setup.sh --where onnxruntime-cuda)";
            let ok = provider.is_file();
            (ok, if ok { provider.display().to_string() } else { missing.to_owned() })
        }
        Err(_) => (false, "see ONNX Runtime".to_owned()),
    };
    let driver = match driver() {
        Some(path) => (true, path.display().to_string()),
        None => (false, "no libcuda.so.1: the machine has no NVIDIA driver, or this container was started without it (docker run --gpus all)".to_owned()),
    };
    let (found, missing): (Vec<_>, Vec<_>) =
        cuda_libraries().into_iter().partition(|library| library.path.is_some());
    let names = |some: &[CudaLibrary]| {
        some.iter().map(|library| library.name).collect::<Vec<_>>().join(", ")
    };
    let libraries = if missing.is_empty() {
        (true, names(&found))
    } else {
        let text = format!(
            "no {}: {LIBRARIES_COMMAND}, and where that Python is not the one dubench is installed in, export {LIBRARIES_VARIABLE}=its site-packages/nvidia",
            names(&missing)
        );
        (false, text)
    };
    let finding = |what, (ok, detail)| Finding { what, ok, detail };
    [finding("CUDA build", build), finding("CUDA driver", driver), finding("CUDA", libraries)]
}

/// Opens the feature network on the device that was asked for: library, device and file in one.
fn extractor(options: &DoctorOptions) -> Result<Finding, CliError> {
    let path = description(EXTRACTOR);
    let runtime = runtime_options(&options.device, options.device.batch.unwrap_or(1))?;
    let opened = ExtractorYaml::read(&path).map_err(|error| error.to_string()).and_then(|_| {
        OnnxExtractor::open(&path, None, &runtime).map_err(|error| error.to_string())
    });
    let (ok, detail) = match opened {
        Ok(_) => (true, format!("fid-inception opens on {}", runtime.device)),
        Err(message) => (false, message),
    };
    Ok(Finding { what: "features", ok, detail })
}
