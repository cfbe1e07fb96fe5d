//! How sessions are opened.

use std::path::PathBuf;

use super::cuda::CudaOptions;
use super::device::Device;
use crate::config::precision_yaml::PrecisionYaml;

/// Whether a step at which predictions are asked for at re-noised states is one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepGraphs {
    /// It is several: one for the trajectory, then those of the draws.
    #[default]
    Off,
    /// It is one, by a graph of the whole step, with the same bits.
    On,
}

impl StepGraphs {
    /// As typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

/// How sessions are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Processor.
    pub device: Device,
    /// Threads inside one operator (CPU).
    pub threads: usize,
    /// Rows of one call to the runtime; larger batches are cut.
    pub micro_batch: usize,
    /// Bytes that the working values of one network may take; `None`: batches are as large as they are asked for.
    pub memory: Option<u64>,
    /// What a device that has a choice computes in.
    pub precision: PrecisionYaml,
    /// Whether steps with draws are one call.
    pub step_graphs: StepGraphs,
    /// What a session on a GPU is told.
    pub cuda: CudaOptions,
    /// Library to load; `None` searches as [`super::environment::library_path`] says.
    pub library: Option<PathBuf>,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            threads: 1,
            micro_batch: 32,
            memory: None,
            precision: PrecisionYaml::Float32,
            step_graphs: StepGraphs::Off,
            cuda: CudaOptions::default(),
            library: None,
        }
    }
}

impl RuntimeOptions {
    /// The device and what moves its digits, for the provenance of a result.
    pub fn device_text(&self) -> String {
        match self.device {
            Device::Cuda(_) => format!("{}{}", self.device, self.cuda.suffix()),
            Device::Cpu | Device::OpenVino => self.device.to_string(),
        }
    }
}
