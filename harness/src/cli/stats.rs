//! `dubench stats`: reference statistics of a data set.

use std::path::Path;

use super::answer::Context;
use super::arguments::{Compact, StatsOptions};
use super::error::CliError;
use super::extractor;
use super::progress::TerminalProgress;
use crate::exit::Exit;
use crate::model::FeatureExtractor;
use crate::model::onnx::environment;
use crate::stage::Progress;
use crate::stage::statistics::file::Covariance;
use crate::stage::statistics::open::open;
use crate::stage::statistics::{BlockDone, WorkFolder, features, reduce};

pub(super) fn run(options: &StatsOptions, context: Context) -> Result<Exit, CliError> {
    let mut source = open(&options.dataset)?;
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
    let covariance = match options.compact {
        None => Covariance::Full,
        Some(Compact::Exact) => Covariance::Upper,
        Some(Compact::Rounded) => Covariance::Rounded,
    };
    statistics.write(&options.output, covariance)?;
    let answer = serde_json::json!({
        "output": options.output, "n": statistics.n, "provenance": statistics.provenance,
        "notes": source.notes(),
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

/// One folder a data set and preprocessing, so that their feature blocks never meet.
fn work_folder(options: &StatsOptions, preprocess: &str) -> std::path::PathBuf {
    let name = Path::new(&options.dataset)
        .file_stem()
        .map_or_else(|| "dataset".to_owned(), |stem| stem.to_string_lossy().into_owned());
    options.work_dir.join(format!("{name}-{preprocess}"))
}
