//! `dubench setup`, and what a run of an installed program needs before it begins.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::answer::{Context, tell};
use super::arguments::{SetupDevice, SetupOptions, Target};
use super::error::CliError;
use super::{found, signal};
use crate::assets::{
    self, Asset, AssetDevice, AssetError, AssetKind, AssetList, Caller, Installed, this_platform,
};
use crate::config::{ExtractorYaml, FeaturesConfig, ScaleConfig};
use crate::exit::Exit;
use crate::experiment::Experiment;
use crate::installed;
use crate::model::onnx::environment;
use crate::stage::Stop;
use crate::stage::statistics::open::is_named;

impl From<SetupDevice> for AssetDevice {
    fn from(device: SetupDevice) -> Self {
        match device {
            SetupDevice::Cpu => Self::Cpu,
            SetupDevice::Cuda => Self::Cuda,
            SetupDevice::Openvino => Self::Openvino,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    cache: PathBuf,
    assets: Vec<Installed>,
    /// A library that is used without being fetched.
    library: Option<PathBuf>,
}

pub(super) fn run(options: &SetupOptions, context: Context) -> Result<Exit, CliError> {
    let list = AssetList::read(&options.assets.clone().unwrap_or_else(pins))?;
    if options.list {
        return print_list(&list, context);
    }
    let cache = absolute_cache()?;
    if let Some(name) = &options.r#where {
        let asset = list.named(std::slice::from_ref(name), &this_platform())?;
        let files = asset.iter().flat_map(|asset| &asset.outputs);
        let files: Vec<PathBuf> = files.map(|output| cache.join(&output.path)).collect();
        let first = files.first().map_or(String::new(), |file| file.display().to_string());
        context.answer(&files, &first)?;
        return Ok(Exit::Complete);
    }
    let (names, library) = chosen(options, &list)?;
    let chosen = list.named(&names, &this_platform())?;
    let assets = if options.verify {
        chosen.into_iter().map(|asset| assets::verify(asset, &cache)).collect()
    } else {
        ensure_all(&chosen, &cache, context)
    }?;
    let answer = Answer { cache, assets, library };
    context.answer(&answer, &text(&answer, options))?;
    Ok(Exit::Complete)
}

/// What an experiment reads at a scale, where this program is an installed one: nobody there has another set-up.
pub(super) fn for_run(target: &Target, context: Context) -> Result<(), CliError> {
    if installed::data().is_none() {
        return Ok(());
    }
    let experiment = Experiment::read(&target.file()?)?;
    // A scale that is not there is refused by whoever resolves the plan.
    let Some(scale) = experiment.scales.get(&target.scale) else { return Ok(()) };
    let reads = Reads::of(&experiment, &[scale]);
    if reads.is_nothing() {
        return Ok(());
    }
    let list = AssetList::read(&pins())?;
    let names = reads.names(&list)?;
    let (chosen, cache) = (list.named(&names, &this_platform())?, absolute_cache()?);
    // A download takes minutes; that there is no library to run it by is known before.
    if !chosen.iter().all(|asset| assets::is_ready(asset, &cache)) {
        environment::runtime(None)?;
    }
    ensure_all(&chosen, &cache, context)?;
    Ok(())
}

fn pins() -> PathBuf {
    found::shipped(Path::new("assets.yaml"))
}

/// Paths of finished files are printed, and whoever reads them may stand elsewhere.
fn absolute_cache() -> Result<PathBuf, CliError> {
    let root = environment::cache_root()?;
    let disk = |source| AssetError::Disk { path: root.clone(), source };
    Ok(std::path::absolute(&root).map_err(disk)?)
}

fn ensure_all(
    chosen: &[&Asset],
    cache: &Path,
    context: Context,
) -> Result<Vec<Installed>, AssetError> {
    let stop = Stop::default();
    if let Err(error) = signal::listen(&stop) {
        tracing::debug!(%error, "signals end this process at once");
    }
    let say = |line: &str| {
        if !context.quiet {
            tell(line);
        }
    };
    let caller = Caller { tell: &say, stopped: &|| stop.requested() };
    chosen.iter().map(|asset| assets::ensure(asset, cache, caller)).collect()
}

/// Names of the assets that the options ask for, and the library that is there already.
fn chosen(
    options: &SetupOptions,
    list: &AssetList,
) -> Result<(Vec<String>, Option<PathBuf>), CliError> {
    if !options.only.is_empty() {
        return Ok((options.only.clone(), None));
    }
    let device = options.device.into();
    let library = library(device)?;
    let is_library = |asset: &Asset| asset.kind == AssetKind::Library;
    let mut names = match &options.experiment {
        None => list.names(|asset| !is_library(asset) && asset.devices.contains(&device)),
        Some(experiment) => {
            let experiment = Experiment::read(&found::experiment(experiment)?)?;
            let scales = scales(&experiment, options.scale.as_deref())?;
            Reads::of(&experiment, &scales).names(list)?
        }
    };
    if library.is_none() {
        names.extend(list.names(|asset| is_library(asset) && asset.devices.contains(&device)));
    }
    Ok((names, library))
}

fn scales<'a>(
    experiment: &'a Experiment,
    scale: Option<&str>,
) -> Result<Vec<&'a ScaleConfig>, CliError> {
    let Some(scale) = scale else { return Ok(experiment.scales.values().collect()) };
    let sizes = experiment.scales.get(scale).ok_or_else(|| {
        let known: Vec<&str> = experiment.scales.keys().map(String::as_str).collect();
        CliError::option("--scale", scale, &known.join(", "))
    })?;
    Ok(vec![sizes])
}

/// What an experiment reads at some of its scales, and no repository holds.
struct Reads<'a> {
    experiment: &'a Experiment,
    /// Description of the feature network.
    extractor: Option<&'a Path>,
    /// Data sets that are known by name.
    images: Vec<&'a str>,
}

impl<'a> Reads<'a> {
    /// Reference statistics ship, so images are read only where a scale draws some, or a protocol starts from them.
    fn of(experiment: &'a Experiment, scales: &[&'a ScaleConfig]) -> Self {
        let extractor = match &experiment.features {
            Some(FeaturesConfig::Extractor { path, .. }) => Some(path.as_path()),
            _ => None,
        };
        let mut images: Vec<&str> = experiment.protocol.needs().images.into_iter().collect();
        for scale in scales.iter().filter(|scale| scale.n_real.is_some()) {
            images.extend(experiment.reference_of(scale).and_then(|one| one.images.as_deref()));
        }
        images.retain(|name| is_named(name));
        Self { experiment, extractor, images }
    }

    fn is_nothing(&self) -> bool {
        self.extractor.is_none() && self.images.is_empty()
    }

    /// Names of the assets that hold it.
    fn names(&self, list: &AssetList) -> Result<Vec<String>, CliError> {
        let mut names = Vec::new();
        if let Some(path) = self.extractor {
            let yaml = ExtractorYaml::read(&self.experiment.resolve(path))?;
            let known = list.names(|asset| asset.name == yaml.name);
            let file = environment::cache_root()?.join(&yaml.file.path);
            if known.is_empty() && !file.is_file() {
                return Err(AssetError::Unknown { name: yaml.name, path: file }.into());
            }
            names.extend(known);
        }
        let holds =
            |asset: &Asset| asset.datasets.iter().any(|name| self.images.contains(&name.as_str()));
        names.extend(list.names(holds));
        Ok(names)
    }
}

/// The library of ONNX Runtime that counts before the one of the cache, if it serves the device.
fn library(device: AssetDevice) -> Result<Option<PathBuf>, CliError> {
    if environment::library_is_of_cache() {
        return Ok(None);
    }
    let path = environment::library_path(None)?;
    let provider = match device {
        AssetDevice::Cpu => return Ok(Some(path)),
        AssetDevice::Cuda => "libonnxruntime_providers_cuda.so",
        AssetDevice::Openvino => "libonnxruntime_providers_openvino.so",
    };
    Ok(Some(path).filter(|path| path.with_file_name(provider).is_file()))
}

fn print_list(list: &AssetList, context: Context) -> Result<Exit, CliError> {
    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        version: &'a str,
        platform: &'a str,
        licence: &'a str,
        origin: &'a str,
    }
    let rows: Vec<Row<'_>> = list
        .assets
        .iter()
        .map(|asset| Row {
            name: &asset.name,
            version: &asset.version,
            platform: asset.platform.as_deref().unwrap_or("any"),
            licence: &asset.licence,
            origin: &asset.origin,
        })
        .collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| [row.name, row.version, row.platform, row.licence].join("\t"))
        .collect();
    context.answer(&rows, &lines.join("\n"))?;
    Ok(Exit::Complete)
}

fn text(answer: &Answer, options: &SetupOptions) -> String {
    let mut lines: Vec<String> = answer.assets.iter().map(|asset| line(asset, options)).collect();
    if let Some(library) = &answer.library {
        lines.push(format!("ONNX Runtime is there: {}", library.display()));
    } else if options.device != SetupDevice::Cpu {
        let fetched = answer.assets.iter().rfind(|asset| asset.name.starts_with("onnxruntime-"));
        let path = fetched.and_then(|asset| asset.files.first());
        lines.extend(
            path.map(|path| format!("to use it: export ORT_DYLIB_PATH={}", path.display())),
        );
    }
    lines.join("\n")
}

fn line(asset: &Installed, options: &SetupOptions) -> String {
    let words = match (options.verify, asset.found) {
        (true, _) => "holds what is pinned",
        (false, true) => "is there",
        (false, false) => "was made",
    };
    let file = asset.files.first().map_or(String::new(), |file| file.display().to_string());
    format!("{} {} {words}: {file}", asset.name, asset.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiments() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments")
    }

    fn needed(experiment: &str, scale: &str) -> Vec<String> {
        let list = AssetList::read(&experiments().join("assets.yaml")).unwrap();
        let experiment = experiments().join(experiment).with_extension("yaml");
        let experiment = Experiment::read(&experiment).unwrap();
        Reads::of(&experiment, &scales(&experiment, Some(scale)).unwrap()).names(&list).unwrap()
    }

    #[test]
    fn images_are_needed_only_where_a_scale_draws_some_or_a_protocol_starts_from_them() {
        assert_eq!(needed("table1-cifar10", "paper"), ["fid-inception"]);
        assert_eq!(needed("table1-cifar10", "mini"), ["fid-inception", "cifar10"]);
        assert_eq!(needed("table2-cifar10", "smoke"), ["cifar10"]);
        assert!(needed("fig1-sd15", "smoke").is_empty());
    }

    #[test]
    fn a_network_that_no_device_needs_is_fetched_for_the_experiment_that_names_it() {
        let names = needed("table4-cifar10-efficientnet", "smoke");
        assert_eq!(names, ["efficientnet-lite0", "cifar10"]);
        assert!(!needed("table4-cifar10", "smoke").contains(&names[0]));
    }

    #[test]
    fn every_data_set_that_has_a_name_is_in_the_list() {
        let list = AssetList::read(&experiments().join("assets.yaml")).unwrap();
        let listed: Vec<&String> = list.assets.iter().flat_map(|asset| &asset.datasets).collect();
        for name in crate::config::NAMED_IMAGES {
            assert_eq!(listed.iter().filter(|listed| **listed == name).count(), 1, "{name}");
        }
    }
}
