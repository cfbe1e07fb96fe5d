//! `dubench gc`: the left-overs of killed processes.

use std::time::Duration;

use serde::Serialize;

use super::answer::Context;
use super::arguments::GcOptions;
use super::error::CliError;
use crate::exit::Exit;
use crate::stage::gc::{self, Leftover, Leftovers};
use crate::stage::run as run_stage;
use crate::store::layout::StageName;

#[derive(Serialize)]
struct Collected {
    dry_run: bool,
    bytes: u64,
    #[serde(flatten)]
    files: Leftovers,
}

/// Removes stale temporary files of a plan, or names them.
pub(super) fn gc(options: &GcOptions, context: Context) -> Result<Exit, CliError> {
    let (_, plan) = options.target.resolve()?;
    let layout = run_stage::layout(&plan, &options.folders.work_dir);
    let folders = [
        layout.stage_folder(StageName::Thresholds),
        layout.stage_folder(StageName::Generate),
        layout.stage_folder(StageName::Features),
        layout.stage_folder(StageName::Real),
        layout.run_folder(),
        options.folders.work_dir.join("slurm").join(format!("{}-{}", plan.experiment, plan.scale)),
        options.folders.results_dir.join(&plan.experiment).join(&plan.scale),
    ];
    let files = gc::find(&folders, Duration::from_secs(options.min_age.saturating_mul(60)))?;
    if !options.dry_run {
        gc::collect(&files.stale)?;
    }
    let bytes = files.stale.iter().map(|file| file.bytes).sum();
    let collected = Collected { dry_run: options.dry_run, bytes, files };
    context.answer(&collected, &text(&collected))?;
    Ok(Exit::Complete)
}

fn text(collected: &Collected) -> String {
    let Collected { dry_run, bytes, files } = collected;
    let (verb, total) = if *dry_run { ("stale", "would be freed") } else { ("removed", "freed") };
    let mut lines: Vec<String> =
        files.stale.iter().map(|file| format!("{verb}  {}", file.path.display())).collect();
    lines.extend(files.young.iter().map(|file| format!("kept     {}", kept(file))));
    lines.push(format!("{} temporary files, {bytes} bytes {total}", files.stale.len()));
    lines.join("\n")
}

fn kept(file: &Leftover) -> String {
    let age = match file.age_seconds {
        Some(age) => format!("written {} minutes ago: its process may be at work", age / 60),
        None => "written in the future: a clock went back".to_owned(),
    };
    format!("{} ({age})", file.path.display())
}
