//! `dubench stats`: reference statistics of a data set.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::answer::Context;
use super::arguments::{Compact, StatsOptions};
use super::error::CliError;
use super::extractor;
use super::output;
use super::progress::TerminalProgress;
use crate::exit::Exit;
use crate::model::FeatureExtractor;
use crate::model::onnx::environment;
use crate::stage::Progress;
use crate::stage::statistics::open::{ReadOptions, open_with};
use crate::stage::statistics::transform::Transform;
use crate::stage::statistics::{BlockDone, WorkFolder, features, reduce};

pub(super) fn run(options: &StatsOptions, context: Context) -> Result<Exit, CliError> {
    let (dataset, _) = Transform::split(&options.dataset).unwrap_or((&options.dataset, None));
    output::check(&options.output, [Path::new(dataset)])?;
    let mut source = open_with(&options.dataset, &reading(options))?;
    let mut network = extractor::open(&options.features)?;
    let runtime = environment::runtime(None)?;
    let made_by = format!("dubench {}, onnxruntime {}", env!("CARGO_PKG_VERSION"), runtime.version);
    let folder = work_folder(options, network.id().preprocess.as_str());
    let work = WorkFolder { folder: &folder, made_by: &made_by };
    let progress = TerminalProgress::new(context.quiet);
    progress.begin("stats", source.len() as u64, 0);
    let mut before = 0;
    let mut on_block = |done: BlockDone| {
        progress.advance((done.n_done - before) as u64);
        before = done.n_done;
    };
    let blocks = features(source.as_mut(), &mut network, &work, &mut on_block);
    progress.end();
    let mut statistics = reduce(source.name(), network.id(), &blocks?)?;
    statistics.provenance.runtime = Some(runtime.version.clone());
    statistics.provenance.images = Some(source.described());
    let form = Compact::covariance(options.compact);
    statistics.write(&options.output, form)?;
    let answer = serde_json::json!({
        "output": options.output, "n": statistics.n, "provenance": statistics.provenance_as(form),
        "left_out": source.left_out(), "notes": source.notes(),
    });
    let mut text = format!(
        "{}: {} images, {} features ({}, {})",
        options.output.display(),
        statistics.n,
        statistics.mu.len(),
        network.id().name,
        network.id().preprocess
    );
    for note in source.notes() {
        text.push_str(&format!("\nnote: {note}"));
    }
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}

/// How images are read beside the network.
fn reading(options: &StatsOptions) -> ReadOptions {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let device = &options.features.device;
    // A core of a CPU decodes some hundred photographs a second, and the network takes some ten of them on it.
    let default = if device.device == "cpu" {
        NonZeroUsize::new(device.threads.unwrap_or(cores).div_ceil(8))
    } else {
        NonZeroUsize::new(cores)
    };
    ReadOptions {
        class_list: options.classes.clone(),
        skip_unreadable: options.skip_unreadable,
        decode_threads: options.decode_threads.or(default),
    }
}

/// One folder a data set, transform and preprocessing, so that their feature blocks never meet.
fn work_folder(options: &StatsOptions, preprocess: &str) -> PathBuf {
    let (path, transform) = Transform::split(&options.dataset).unwrap_or((&options.dataset, None));
    let name = Path::new(path)
        .file_stem()
        .map_or_else(|| "dataset".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let transform =
        transform.map(|t| format!("{}-{}-", t.recipe.name(), t.size)).unwrap_or_default();
    options.work_dir.join(format!("{name}-{transform}{preprocess}"))
}
