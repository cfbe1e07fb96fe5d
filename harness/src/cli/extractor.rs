//! The feature network that `--extractor` and `--preprocess` name.

use std::path::PathBuf;

use super::arguments::FeatureOptions;
use super::error::CliError;
use super::found;
use super::session::runtime;
use crate::config::Preprocess;
use crate::model::onnx::OnnxExtractor;

/// Images of one call: the fastest size on two cores, and no number depends on it.
const BATCH: usize = 8;

/// Refuses options that no feature network could be opened with, whether one is needed or not.
pub(super) fn check(options: &FeatureOptions) -> Result<(), CliError> {
    runtime(&options.device, options.device.batch.unwrap_or(BATCH))?;
    preprocess(&options.preprocess).map(drop)
}

/// Opens the feature network of the options.
pub(super) fn open(options: &FeatureOptions) -> Result<OnnxExtractor, CliError> {
    let runtime = runtime(&options.device, options.device.batch.unwrap_or(BATCH))?;
    let preprocess = preprocess(&options.preprocess)?;
    Ok(OnnxExtractor::open(&description(&options.extractor), Some(preprocess), &runtime)?)
}

/// The file that describes the extractor `name`; a path is taken as it is.
pub(super) fn description(name: &str) -> PathBuf {
    if name.contains(['/', '.']) {
        return PathBuf::from(name);
    }
    found::shipped(&PathBuf::from("extractors").join(format!("{name}.yaml")))
}

fn preprocess(name: &str) -> Result<Preprocess, CliError> {
    [Preprocess::PytorchFid, Preprocess::TorchFidelity, Preprocess::CleanFid]
        .into_iter()
        .find(|preprocess| preprocess.as_str() == name)
        .ok_or_else(|| {
            CliError::option("--preprocess", name, "pytorch-fid, torch-fidelity or clean-fid")
        })
}
