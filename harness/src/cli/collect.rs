//! `dubench collect`: numbers of many results in one table.

use std::path::{Path, PathBuf};

use super::answer::Context;
use super::arguments::CollectOptions;
use super::error::CliError;
use crate::exit::Exit;
use crate::report::{collect as collected, markdown};

pub(super) fn collect(options: &CollectOptions, context: Context) -> Result<Exit, CliError> {
    let mut files = Vec::new();
    for folder in &options.folders {
        let before = files.len();
        find(folder, &mut files).map_err(|error| {
            let got = format!("{}: {error}", folder.display());
            CliError::option("FOLDERS", &got, "folders with results")
        })?;
        if files.len() == before {
            let got = folder.display().to_string();
            let expected =
                "a folder with a metrics.parquet in it or below it: run an experiment first";
            return Err(CliError::option("FOLDERS", &got, expected));
        }
    }
    files.sort();
    files.dedup();
    let collection = collected::collect(&files, &options.conditions)?;
    let text = markdown::write(&collection.document());
    context.answer(&collection.json(), text.trim_end())?;
    Ok(Exit::Complete)
}

/// Every `metrics.parquet` in a folder and below it. Links are not followed.
fn find(place: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find(&entry.path(), files)?;
        } else if kind.is_file() && entry.file_name() == "metrics.parquet" {
            files.push(entry.path());
        }
    }
    Ok(())
}
