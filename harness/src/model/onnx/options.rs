//! How sessions are opened.

use std::path::PathBuf;

use super::cuda::CudaOptions;
use super::device::Device;
use crate::config::precision_yaml::PrecisionYaml;

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
