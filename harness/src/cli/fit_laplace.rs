//! `dubench fit-laplace`: the posterior of a bundle's last layer, for `BayesDiff`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::answer::Context;
use super::arguments::FitLaplaceOptions;
use super::error::CliError;
use super::progress::TerminalProgress;
use super::sample_source::is_pipeline;
use super::{output, session, signal};
use crate::exit::Exit;
use crate::stage::Stop;
use crate::stage::laplace::{FitRequest, Fitted, fit};
use crate::stage::statistics::open::open;
use crate::store::laplace;

/// Images of one call: what keeps the activations of a small U-Net inside the last-level cache.
const BATCH: usize = 16;

pub(super) fn run(options: &FitLaplaceOptions, context: Context) -> Result<Exit, CliError> {
    let stop = Stop::default();
    signal::listen(&stop).map_err(CliError::Signals)?;
    refuse(options)?;
    let bundle = files_of(&options.bundle);
    let inputs = bundle.iter().map(PathBuf::as_path).chain([Path::new(&options.images)]);
    output::check(&options.output, inputs)?;
    let runtime = session::runtime(&options.device, options.device.batch.unwrap_or(BATCH))?;
    let mut images = open(&options.images)?;
    let request = FitRequest {
        bundle: &options.bundle,
        n: Some(options.n),
        seed: options.seed,
        batch: session::positive(runtime.micro_batch)?,
    };
    let progress = TerminalProgress::new(context.quiet);
    let start = Instant::now();
    let Fitted { file, provenance } = fit(&request, images.as_mut(), &runtime, (&progress, &stop))?;
    laplace::write(&options.output, &file, &provenance)?;
    let seconds = start.elapsed().as_secs_f64();
    let n_weights = file.weight.len() + file.bias.as_ref().map_or(0, Vec::len);
    let answer = serde_json::json!({
        "output": options.output, "model": file.model, "n_images": file.n_images,
        "n_weights": n_weights, "facts": file.facts, "seconds": seconds,
        "content_sha256": laplace::content_digest(&file),
    });
    let layer = file.facts.get("layer").map_or("", String::as_str);
    let text = format!(
        "{}: {n_weights} weights of {layer} of {}, fitted on {} images of {} in {seconds:.0} s",
        options.output.display(),
        file.model,
        file.n_images,
        options.images,
    );
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}

fn refuse(options: &FitLaplaceOptions) -> Result<(), CliError> {
    if options.n == 0 {
        return Err(CliError::option("-n", "0", "at least 1"));
    }
    if is_pipeline(&options.bundle) {
        let shown = options.bundle.display().to_string();
        let expected = "the folder of a bundle, with a model.yaml: the posterior of a pipeline cannot be fitted";
        return Err(CliError::option("BUNDLE", &shown, expected));
    }
    Ok(())
}

/// Files of a bundle, earlier posteriors aside. A folder that cannot be listed is the business of who reads the bundle.
fn files_of(bundle: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bundle).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_none_or(|end| end != "parquet")).collect()
}
