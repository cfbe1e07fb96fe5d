//! Options of `dubench setup`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Lines are short enough for a terminal of 80 columns.
pub(crate) const SETUP_HELP: &str = "\
Everything is pinned by its SHA-256 in assets.yaml and fetched by the clients of
this environment (pip, npm, apt-get, Python), so their mirrors and proxies hold.
What is fetched and built lies in $DUBENCH_CACHE, else in the user's cache folder.

Examples:
  dubench setup                                 all that a CPU needs
  dubench setup cpu table1-cifar10 --scale mini what that run reads
  dubench setup openvino                        another ONNX Runtime
  dubench setup --only fashion-mnist-train      one data set";

/// What ONNX Runtime is to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SetupDevice {
    /// The host
    Cpu,
    /// CUDA
    Cuda,
    /// The host, in bfloat16 too
    Openvino,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SetupOptions {
    /// Which build of ONNX Runtime, unless `ORT_DYLIB_PATH` or this environment has one
    #[arg(value_enum, default_value = "cpu")]
    pub(crate) device: SetupDevice,
    /// Only what this experiment reads, by its file or name; default: all that experiments on this device read
    pub(crate) experiment: Option<PathBuf>,
    /// Only what it reads at this scale; default: at any
    #[arg(long, requires = "experiment")]
    pub(crate) scale: Option<String>,
    /// This asset alone; give it again for more
    #[arg(long, value_name = "NAME", conflicts_with = "experiment")]
    pub(crate) only: Vec<String>,
    /// Hash the finished files again, and make nothing
    #[arg(long)]
    pub(crate) verify: bool,
    /// Print every asset with version, platform and licence, and do nothing
    #[arg(long, conflicts_with_all = ["experiment", "only", "verify", "where"])]
    pub(crate) list: bool,
    /// Print the path of an asset's first file, and do nothing
    #[arg(long, value_name = "NAME")]
    pub(crate) r#where: Option<String>,
    /// List of pins; default: `experiments/assets.yaml`, here or as installed
    #[arg(long, value_name = "FILE")]
    pub(crate) assets: Option<PathBuf>,
}
