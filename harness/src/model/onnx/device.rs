//! Where a session runs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::config::precision_yaml::PrecisionYaml;
use crate::model::ModelError;

/// The processor that runs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The host.
    #[default]
    Cpu,
    /// The CUDA device of this ordinal.
    Cuda(u32),
    /// The host, by `OpenVINO`: the only one that computes in bfloat16.
    OpenVino,
}

impl Device {
    /// Whether it is the host's processor, so that networks stand side by side and share its memory.
    pub fn is_host(self) -> bool {
        matches!(self, Self::Cpu | Self::OpenVino)
    }

    /// Reads one device, or several GPUs that share the blocks: `cuda:0,cuda:1`.
    ///
    /// # Errors
    /// [`UnknownDevice`] for a word that names none, and for a list of others than different GPUs.
    ///
    /// # Examples
    /// ```
    /// use dubench::model::onnx::Device;
    /// assert_eq!(Device::list("cuda:0,cuda:2"), Ok(vec![Device::Cuda(0), Device::Cuda(2)]));
    /// assert!(Device::list("cuda:0,cuda:0").is_err());
    /// ```
    pub fn list(text: &str) -> Result<Vec<Self>, UnknownDevice> {
        let devices = text.split(',').map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        let ordinals: BTreeSet<u32> =
            devices.iter().filter_map(|device| device.ordinal()).collect();
        if devices.len() > 1 && ordinals.len() != devices.len() {
            return Err(UnknownDevice { got: text.to_owned() });
        }
        Ok(devices)
    }

    /// Number of a GPU.
    fn ordinal(self) -> Option<u32> {
        match self {
            Self::Cuda(ordinal) => Some(ordinal),
            Self::Cpu | Self::OpenVino => None,
        }
    }

    /// What to do where the runtime's library does not serve the device.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Cpu => "check ORT_DYLIB_PATH",
            Self::Cuda(_) => {
                "it needs a build for CUDA: run `dubench setup cuda`, and set ORT_DYLIB_PATH as it says; `dubench doctor --device cuda` says what else is missing"
            }
            Self::OpenVino => {
                "it needs a build with OpenVINO: run `dubench setup openvino` and set ORT_DYLIB_PATH as it says"
            }
        }
    }

    /// Refuses a precision that the device does not compute in: nothing falls back in silence.
    pub(super) fn refuse(self, precision: PrecisionYaml) -> Result<(), ModelError> {
        let message = match (self, precision) {
            (_, PrecisionYaml::Float32) | (Self::Cuda(_), PrecisionYaml::Tf32) => return Ok(()),
            (Self::OpenVino, PrecisionYaml::Bfloat16) if has_bfloat16() => return Ok(()),
            (Self::OpenVino, PrecisionYaml::Bfloat16) => {
                "this processor has no bfloat16 (AVX512-BF16 or AMX): take `precision: float32`".to_owned()
            }
            (_, PrecisionYaml::Bfloat16) => {
                "it does not compute in bfloat16: run with --device openvino, or take `precision: float32`".to_owned()
            }
            (_, PrecisionYaml::Tf32) => {
                "it does not compute in TensorFloat-32: run with --device cuda, or take `precision: float32`".to_owned()
            }
            (_, PrecisionYaml::Float16) => {
                "a run does not choose float16, the graph does: make one by `dubench graph half`".to_owned()
            }
        };
        Err(ModelError::Runtime {
            context: format!("device {self}, precision {}", precision.as_str()),
            message,
        })
    }
}

/// Whether the processor multiplies bfloat16 by itself. Those with AMX have AVX512-BF16 too.
fn has_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::OpenVino => f.write_str("openvino"),
        }
    }
}

/// The word that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "device `{got}` is unknown: expected `cpu`, `cuda`, `cuda:<ordinal>` or `openvino`, or several GPUs as `cuda:0,cuda:1`"
)]
pub struct UnknownDevice {
    got: String,
}

impl FromStr for Device {
    type Err = UnknownDevice;

    /// Reads `cpu`, `cuda` (ordinal 0), `cuda:<ordinal>` or `openvino`.
    ///
    /// # Examples
    /// ```
    /// use dubench::model::onnx::Device;
    /// assert_eq!("cuda:1".parse(), Ok(Device::Cuda(1)));
    /// assert!("gpu".parse::<Device>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownDevice { got: text.to_owned() };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "openvino" => Ok(Self::OpenVino),
            Some(("cuda", ordinal)) => ordinal.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn a_device_reads_what_it_writes() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7), Device::OpenVino] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
    }

    #[test]
    fn a_list_is_of_different_gpus() {
        assert_eq!(Device::list("openvino"), Ok(vec![Device::OpenVino]));
        assert_eq!(Device::list("cuda,cuda:1"), Ok(vec![Device::Cuda(0), Device::Cuda(1)]));
        for words in ["cpu,cpu", "cpu,cuda", "cuda,cuda:0", "cuda:0,", "cuda:0;cuda:1"] {
            let error = Device::list(words).unwrap_err().to_string();
            assert!(error.contains("`cuda:0,cuda:1`"), "{error}");
        }
    }

    #[test]
    fn words_that_name_no_device_are_refused_with_the_accepted_ones() {
        for word in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CPU"] {
            let error = word.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("expected `cpu`, `cuda`"), "{error}");
        }
    }
}
