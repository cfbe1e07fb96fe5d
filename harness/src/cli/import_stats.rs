//! `dubench import-stats`: statistics that others have published.

use dubench_metrics::{Gaussian, Reference};

use super::answer::Context;
use super::arguments::{Compact, ImportStatsOptions};
use super::error::CliError;
use super::extractor;
use super::output;
use crate::exit::Exit;
use crate::stage::open::identities;
use crate::stage::statistics::convention::{CONVENTIONS, Convention, Said};
use crate::stage::statistics::file::ReferenceStatistics;
use crate::store::StoreError;

/// Maker of files that say themselves what they are of.
const OURS: &str = "dubench";

pub(super) fn run(options: &ImportStatsOptions, context: Context) -> Result<Exit, CliError> {
    output::check(&options.output, [options.file.as_path()])?;
    let statistics = if options.from == OURS { ours(options)? } else { theirs(options)? };
    usable(options, &statistics)?;
    let form = Compact::covariance(options.compact);
    statistics.write(&options.output, form)?;
    let provenance = statistics.provenance_as(form);
    let answer = serde_json::json!({
        "output": options.output, "n": statistics.n, "provenance": provenance,
    });
    let size = provenance.images.as_ref().and_then(|images| images.size);
    let size = size.map_or(String::new(), |[h, w]| format!(" of {h} x {w}"));
    let text = format!(
        "{}: {} of {} images{size}, {} features ({}, {})",
        options.output.display(),
        provenance.dataset,
        statistics.n,
        statistics.mu.len(),
        provenance.extractor.name,
        provenance.extractor.preprocess
    );
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}

/// Refuses now what no distance could be taken to later, as a covariance with a negative eigenvalue.
fn usable(options: &ImportStatsOptions, found: &ReferenceStatistics) -> Result<(), CliError> {
    let gaussian = Gaussian::new(found.mu.clone(), found.sigma.clone(), Some(found.n));
    let tried = gaussian.and_then(Reference::new);
    tried.map(drop).map_err(|error| StoreError::input(&options.file, error).into())
}

/// A file of `dubench stats`, to be written in another form.
fn ours(options: &ImportStatsOptions) -> Result<ReferenceStatistics, CliError> {
    let said = [
        ("--dataset", options.dataset.clone()),
        ("--size", options.size.map(|size| size.to_string())),
        ("-n", options.n.map(|n| n.to_string())),
    ];
    if let Some((option, Some(value))) = said.iter().find(|(_, value)| value.is_some()) {
        return Err(CliError::option(option, value, "nothing: the file says it itself"));
    }
    Ok(ReferenceStatistics::read(&options.file)?)
}

fn theirs(options: &ImportStatsOptions) -> Result<ReferenceStatistics, CliError> {
    if options.size == Some(0) {
        return Err(CliError::option(
            "--size",
            "0",
            "the side of the images in pixels, at least 1",
        ));
    }
    if options.dataset.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(CliError::option("--dataset", "", "the name of the data set"));
    }
    let convention = Convention::find(&options.from).ok_or_else(|| {
        let names = CONVENTIONS.map(|convention| convention.name).join(", ");
        CliError::option("--from", &options.from, &format!("one of {names}, {OURS}"))
    })?;
    let description = extractor::description(&options.extractor);
    let network = identities::extractor_id(&description, Some(convention.preprocess))?;
    let said = Said { dataset: options.dataset.clone(), size: options.size, n: options.n };
    Ok(convention.import(&options.file, &said, network)?)
}
