//! `dubench summary`: one page of verdicts.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::answer::Context;
use super::arguments::SummaryOptions;
use super::error::CliError;
use crate::config::published::claims::Claims;
use crate::exit::Exit;
use crate::report::Artefact;
use crate::report::run_json::RunRecord;
use crate::report::summary::{Before, ResultFolder, Summary, Verdict, summarise};
use crate::store::{StoreError, publish};

pub(super) fn summary(options: &SummaryOptions, context: Context) -> Result<Exit, CliError> {
    let results = results("RESULTS", &options.results, &options.scale)?;
    if results.is_empty() {
        return Err(nothing_there("RESULTS", &options.results, &options.scale)?);
    }
    let claims = Claims::read(&options.claims)?;
    let mut summary = summarise(&claims, &options.scale, results)?;
    summary.before =
        options.before.as_ref().map(|folder| before(folder, &claims, options)).transpose()?;
    let folder = options.output.as_ref().unwrap_or(&options.results);
    let files = summary.files(&way(folder, &options.results)?);
    if options.check {
        return checked(&summary, folder, &files, context);
    }
    for file in &files {
        let path = folder.join(&file.name);
        publish(&path, &file.bytes).map_err(StoreError::write(&path))?;
    }
    let places: Vec<String> =
        files.iter().map(|file| folder.join(&file.name).display().to_string()).collect();
    answer(&summary, &places, &format!("written: {}", places.join(", ")), context)?;
    Ok(Exit::Complete)
}

/// The same claims, held against the results of another folder.
fn before(folder: &Path, claims: &Claims, options: &SummaryOptions) -> Result<Before, CliError> {
    let results = results("--before", folder, &options.scale)?;
    if results.is_empty() {
        return Err(nothing_there("--before", folder, &options.scale)?);
    }
    let name =
        folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Before { name, lines: summarise(claims, &options.scale, results)?.lines })
}

/// Which scales there are, where the one that is asked for has no result; else that there is none at all.
fn nothing_there(
    argument: &'static str,
    results: &Path,
    scale: &str,
) -> Result<CliError, CliError> {
    let mut scales = BTreeSet::new();
    for name in names(argument, results)? {
        let folder = results.join(name);
        if folder.is_dir() {
            let whole = |scale: &String| folder.join(scale).join("metrics.parquet").is_file();
            scales.extend(names(argument, &folder)?.into_iter().filter(whole));
        }
    }
    let place = results.display().to_string();
    if scales.is_empty() {
        return Ok(CliError::option(
            argument,
            &place,
            "a folder with EXPERIMENT/SCALE/metrics.parquet in it: run an experiment first",
        ));
    }
    let known: Vec<String> = scales.into_iter().collect();
    let expected = format!("a scale of which {place} has results: {}", known.join(", "));
    Ok(CliError::option("--scale", scale, &expected))
}

/// Whether the files are what the results say.
fn checked(
    summary: &Summary,
    folder: &Path,
    files: &[Artefact],
    context: Context,
) -> Result<Exit, CliError> {
    let differs = |file: &&Artefact| {
        std::fs::read(folder.join(&file.name)).map_or(true, |bytes| bytes != file.bytes)
    };
    let old: Vec<String> = files
        .iter()
        .filter(differs)
        .map(|file| folder.join(&file.name).display().to_string())
        .collect();
    if old.is_empty() {
        answer(summary, &old, "the page says what the results say", context)?;
        return Ok(Exit::Complete);
    }
    let text = format!("not what the results say: {}: run `dubench summary` again", old.join(", "));
    answer(summary, &old, &text, context)?;
    Ok(Exit::Gate)
}

fn answer(
    summary: &Summary,
    files: &[String],
    text: &str,
    context: Context,
) -> Result<(), CliError> {
    let lines: Vec<_> = summary
        .lines
        .iter()
        .map(|line| {
            let measured = line.measured;
            serde_json::json!({
                "id": line.id, "source": line.source, "claim": line.says, "setting": line.setting,
                "published": line.quoted.text, "experiment": line.experiment, "model": line.model,
                "value": measured.map(|m| m.value), "se": measured.and_then(|m| m.se),
                "n": measured.and_then(|m| m.n), "p_holm": measured.and_then(|m| m.p).map(|p| p.value),
                "verdict": line.verdict, "why": line.why,
            })
        })
        .collect();
    let counts: serde_json::Map<String, serde_json::Value> = Verdict::ALL
        .iter()
        .map(|verdict| (verdict.label().replace(' ', "_"), summary.count(*verdict).into()))
        .collect();
    let json = serde_json::json!({ "files": files, "counts": counts, "claims": lines });
    context.answer(&json, &format!("{} claims: {}\n{text}", lines.len(), summary.counts()))
}

/// Every `EXPERIMENT/SCALE/metrics.parquet`, by name; links are not followed.
fn results(
    argument: &'static str,
    folder: &Path,
    scale: &str,
) -> Result<Vec<ResultFolder>, CliError> {
    let mut found = Vec::new();
    for name in names(argument, folder)? {
        let place = folder.join(&name).join(scale);
        let metrics = place.join("metrics.parquet");
        if !metrics.is_file() {
            continue;
        }
        let plots = place.join("plots");
        found.push(ResultFolder {
            revision: revision(&place.join("run.json"))?,
            files: if plots.is_dir() { names(argument, &plots)? } else { Vec::new() },
            has_table: place.join("table.md").is_file(),
            name,
            metrics,
        });
    }
    Ok(found)
}

/// Names in a folder, in order.
fn names(argument: &'static str, folder: &Path) -> Result<Vec<String>, CliError> {
    let unread = |error: std::io::Error| {
        let got = format!("{}: {error}", folder.display());
        CliError::option(argument, &got, "a folder with results")
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        names.push(entry.map_err(unread)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// What wrote a result, where a record stands beside it.
fn revision(path: &Path) -> Result<Option<String>, CliError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(StoreError::read(path))?;
    let record = RunRecord::from_json(&text)
        .map_err(|error| StoreError::malformed(path, error.to_string()))?;
    Ok(Some(record.git_revision))
}

/// The way from a folder to another, as links have it: `../results/`, or the empty text.
fn way(from: &Path, to: &Path) -> Result<String, CliError> {
    let whole = |path: &Path| {
        path.canonicalize().map_err(|error| {
            let got = format!("{}: {error}", path.display());
            CliError::option("--output", &got, "a folder that exists")
        })
    };
    let (from, to) = (whole(from)?, whole(to)?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let down = to[same..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let steps = std::iter::repeat_n("..".to_owned(), from.len() - same).chain(down);
    Ok(steps.map(|step| step + "/").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders_is_that_of_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> std::path::PathBuf { folder.path().join(name) };
        for name in ["a/b", "c"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        assert_eq!(way(&path("a"), &path("a")).unwrap(), "");
        assert_eq!(way(&path("c"), &path("a/b")).unwrap(), "../a/b/");
        assert_eq!(way(&path("a/b"), &path("a")).unwrap(), "../");
        assert_eq!(way(&path("a"), &path("a/b")).unwrap(), "b/");
    }
}
