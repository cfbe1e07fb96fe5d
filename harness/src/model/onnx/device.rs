//! Where a session runs.

use std::fmt;
use std::str::FromStr;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{CUDA, ExecutionProviderDispatch};

use crate::model::ModelError;

/// The processor that runs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The host.
    #[default]
    Cpu,
    /// The CUDA device of this ordinal.
    Cuda(u32),
}

impl Device {
    /// Execution providers of a session on this device.
    ///
    /// `error_on_failure` is what stops ONNX Runtime from answering a wish for CUDA with the CPU.
    /// `TensorFloat32` is off and the convolution search is the fixed default, because both change
    /// the digits: TF32 has 10 bits of mantissa, an exhaustive search may pick another kernel in
    /// each run.
    pub(super) fn providers(self) -> Result<Vec<ExecutionProviderDispatch>, ModelError> {
        match self {
            Self::Cpu => Ok(Vec::new()),
            Self::Cuda(ordinal) => {
                let id = i32::try_from(ordinal).map_err(|_| ModelError::Runtime {
                    context: format!("device {self}"),
                    message: "the ordinal is too large".to_owned(),
                })?;
                let cuda = CUDA::default()
                    .with_device_id(id)
                    .with_tf32(false)
                    .with_conv_algorithm_search(ConvAlgorithmSearch::Default);
                Ok(vec![cuda.build().error_on_failure()])
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// The word that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device `{got}` is unknown: expected `cpu`, `cuda` or `cuda:<ordinal>`")]
pub struct UnknownDevice {
    got: String,
}

impl FromStr for Device {
    type Err = UnknownDevice;

    /// Reads `cpu`, `cuda` (ordinal 0) or `cuda:<ordinal>`.
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
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse(), Ok(device));
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
