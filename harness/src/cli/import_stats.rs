//! `dubench import-stats`: statistics that others have published.

use super::answer::Context;
use super::arguments::ImportStatsOptions;
use super::error::CliError;
use super::extractor;
use crate::exit::Exit;
use crate::stage::open::identities;
use crate::stage::statistics::convention::{CONVENTIONS, Convention, Said};
use crate::stage::statistics::file::Covariance;

pub(super) fn run(options: &ImportStatsOptions, context: Context) -> Result<Exit, CliError> {
    let convention = Convention::find(&options.from).ok_or_else(|| {
        let names = CONVENTIONS.map(|convention| convention.name).join(", ");
        CliError::option("--from", &options.from, &format!("one of {names}"))
    })?;
    let description = extractor::description(&options.extractor);
    let network = identities::extractor_id(&description, Some(convention.preprocess))?;
    let said = Said { dataset: options.dataset.clone(), size: options.size, n: options.n };
    let statistics = convention.import(&options.file, &said, network)?;
    let covariance = if options.compact { Covariance::Upper } else { Covariance::Full };
    statistics.write(&options.output, covariance)?;
    let provenance = &statistics.provenance;
    let answer = serde_json::json!({
        "output": options.output, "n": statistics.n, "provenance": provenance,
    });
    let size = provenance.images.as_ref().and_then(|images| images.size).unwrap_or_default();
    let text = format!(
        "{}: {} of {} images of {} x {}, {} features ({}, {})",
        options.output.display(),
        provenance.dataset,
        statistics.n,
        size[0],
        size[1],
        statistics.mu.len(),
        provenance.extractor.name,
        provenance.extractor.preprocess
    );
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}
