//! What the runtime is told of a session and its device.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch, OpenVINO};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::cuda::OtherNodes;
use super::device::Device;
use super::options::RuntimeOptions;
use crate::config::precision_yaml::PrecisionYaml;
use crate::model::ModelError;

/// What was tried, and what the runtime says of it.
type Step = (&'static str, ort::Error);

/// A builder of sessions with these options; what was refused, and why.
pub(super) fn configure(
    builder: ort::Result<SessionBuilder>,
    options: &RuntimeOptions,
) -> Result<SessionBuilder, Step> {
    let plain = |what: &'static str| move |error: ort::Error<SessionBuilder>| (what, error.into());
    let mut builder = builder
        .map_err(|error| ("no session can be made", error))?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(plain("the optimisation level was refused"))?
        .with_intra_threads(options.threads.max(1))
        .map_err(plain("the thread count was refused"))?
        .with_inter_threads(1)
        .map_err(plain("the thread count was refused"))?
        // Why no spinning? Idle workers that spin take the cores from everything else; on a shared
        // machine that costs far more than the microseconds of a wake-up.
        .with_intra_op_spinning(false)
        .map_err(plain("the spin option was refused"))?;
    let providers =
        providers(options).map_err(|e| ("the device", ort::Error::new(e.to_string())))?;
    if !providers.is_empty() {
        builder = builder.with_execution_providers(providers).map_err(|error| {
            let message = format!("{}; {}", error.message().trim_end(), options.device.remedy());
            ("the device cannot be used", ort::Error::new(message))
        })?;
        let allows = matches!(options.device, Device::Cuda(_))
            && options.cuda.other_nodes == OtherNodes::Cpu;
        if !allows {
            builder = builder
                .with_disable_cpu_fallback()
                .map_err(plain("CPU fall-back cannot be switched off"))?;
        }
    }
    Ok(builder)
}

/// Execution providers of a session.
///
/// `error_on_failure` is what stops ONNX Runtime from answering a wish for CUDA with the CPU. Both providers would choose
/// a precision by themselves, `TensorFloat32` and bfloat16, where the processor has it, so theirs is said.
fn providers(options: &RuntimeOptions) -> Result<Vec<ExecutionProviderDispatch>, ModelError> {
    let RuntimeOptions { device, threads, precision, .. } = *options;
    device.refuse(precision)?;
    match device {
        Device::Cpu => Ok(Vec::new()),
        Device::Cuda(ordinal) => {
            let id = i32::try_from(ordinal).map_err(|_| ModelError::Runtime {
                context: format!("device {device}"),
                message: "the ordinal is too large".to_owned(),
            })?;
            let tf32 = precision == PrecisionYaml::Tf32;
            let cuda = options.cuda.provider(id, tf32);
            Ok(vec![cuda.build().error_on_failure()])
        }
        Device::OpenVino => {
            let provider = OpenVINO::default()
                .with_device_type("CPU")
                .with_arbitrary_config("load_config", openvino(threads, precision).to_string());
            Ok(vec![provider.build().error_on_failure()])
        }
    }
}

/// What `OpenVINO`'s plug-in of the CPU is told.
fn openvino(threads: usize, precision: PrecisionYaml) -> serde_json::Value {
    let hint = if precision == PrecisionYaml::Bfloat16 { "bf16" } else { "f32" };
    serde_json::json!({ "CPU": {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads.max(1).to_string(),
        "NUM_STREAMS": "1",
        // Each session would pin its threads from the first core on, and networks side by side would share that one.
        "ENABLE_CPU_PINNING": "NO",
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openvino_is_told_its_precision_its_threads_and_not_to_pin_them() {
        let told = |key: &str| openvino(0, PrecisionYaml::Bfloat16)["CPU"][key].clone();
        assert_eq!(
            [told("INFERENCE_PRECISION_HINT"), told("INFERENCE_NUM_THREADS")],
            ["bf16", "1"]
        );
        assert_eq!(told("ENABLE_CPU_PINNING"), "NO");
    }

    #[test]
    fn a_precision_that_a_device_has_not_is_refused_with_the_remedy() {
        let providers = |device: Device, precision| {
            super::providers(&RuntimeOptions { device, precision, ..RuntimeOptions::default() })
        };
        let message = |device: Device, precision| {
            let error = providers(device, precision).map(|_| ()).unwrap_err();
            error.to_string()
        };
        let text = message(Device::Cpu, PrecisionYaml::Bfloat16);
        assert!(
            text.contains("device cpu, precision bfloat16") && text.contains("--device openvino"),
            "{text}"
        );
        let text = message(Device::OpenVino, PrecisionYaml::Float16);
        assert!(text.contains("dubench graph half"), "{text}");
        let text = message(Device::Cpu, PrecisionYaml::Tf32);
        assert!(
            text.contains("device cpu, precision tf32") && text.contains("--device cuda"),
            "{text}"
        );
        let n = |device, precision| providers(device, precision).unwrap().len();
        assert_eq!(n(Device::Cpu, PrecisionYaml::Float32), 0);
        assert_eq!(n(Device::OpenVino, PrecisionYaml::Float32), 1);
        assert_eq!(n(Device::Cuda(1), PrecisionYaml::Float32), 1);
        assert_eq!(n(Device::Cuda(1), PrecisionYaml::Tf32), 1);
    }
}
