//! `dubench submit`: two job scripts, published and queued.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytesize::ByteSize;
use serde::Serialize;

use super::answer::Context;
use super::arguments::{Engine, StepGraph, SubmitOptions};
use super::error::CliError;
use super::session::on_one_device;
use crate::exit::Exit;
use crate::experiment::Plan;
use crate::plan::SlurmJobs;
use crate::plan::slurm::{WARNING_SECONDS, time_limit_seconds};
use crate::stage::evaluate;
use crate::store::{StoreError, publish};

/// Tasks of an array for which no number was given. Sites cap arrays; a shard of many blocks costs nothing.
const DEFAULT_SHARDS: u32 = 16;

/// Shortest time limit in which a task gets anything done before it is warned, which may be early.
const MIN_TIME_SECONDS: u64 = 300;

#[derive(Serialize)]
struct Submitted {
    plan_id: String,
    n_blocks: u64,
    n_shards: u32,
    array_script: PathBuf,
    evaluate_script: PathBuf,
    /// Null in a dry run.
    array_job: Option<String>,
    evaluate_job: Option<String>,
}

/// Writes the scripts of an experiment below the work folder, and queues them.
pub(super) fn submit(options: &SubmitOptions, context: Context) -> Result<Exit, CliError> {
    let Engine::Slurm = options.engine;
    let (experiment, plan) = options.target.resolve()?;
    evaluate::check_published(&experiment)?;
    let jobs = jobs(options, &plan)?;
    let mut submitted = write(&jobs, &plan)?;
    if !options.dry_run {
        let array = sbatch(None, &submitted.array_script)?;
        let evaluate = sbatch(Some(&array), &submitted.evaluate_script);
        submitted.array_job = Some(array);
        submitted.evaluate_job = Some(evaluate?);
    }
    context.answer(&submitted, &text(&submitted))?;
    Ok(Exit::Complete)
}

fn text(submitted: &Submitted) -> String {
    let Submitted { n_blocks, n_shards, array_script, evaluate_script, .. } = submitted;
    let mut lines = vec![format!("{n_blocks} blocks in {n_shards} tasks")];
    let jobs = [
        ("array", &submitted.array_job, array_script),
        ("evaluate", &submitted.evaluate_job, evaluate_script),
    ];
    for (name, job, script) in jobs {
        let job = job.as_deref().map_or("not queued".to_owned(), |id| format!("job {id}"));
        lines.push(format!("{name:8} {job}  {}", script.display()));
    }
    lines.join("\n")
}

fn jobs(options: &SubmitOptions, plan: &Plan) -> Result<SlurmJobs, CliError> {
    // A device that cannot be named is better refused here than by every task.
    on_one_device(&options.device, options.device.batch.unwrap_or(1))?;
    let work_dir = absolute(&options.folders.work_dir)?;
    let name = format!("{}-{}", plan.experiment, plan.scale);
    let logs = format!("{work_dir}/slurm/{name}");
    if logs.contains(['"', '\\', '\n']) {
        let expected = "a path without quotes, backslashes and line breaks, which Slurm's job \
            options cannot carry";
        return Err(CliError::option("--work-dir", &logs, expected));
    }
    let program = std::env::current_exe()
        .map_err(|error| CliError::Bug(format!("the path of the binary is unknown: {error}")))?;
    Ok(SlurmJobs {
        name,
        program: absolute(&program)?,
        folder: absolute(Path::new("."))?,
        experiment: absolute(&options.target.file()?)?,
        scale: plan.scale.clone(),
        work_dir,
        results_dir: absolute(&options.folders.results_dir)?,
        logs,
        run_options: run_options(options),
        n_shards: n_shards(options.shards, plan)?,
        throttle: throttle(options.throttle)?,
        partition: word("--partition", options.partition.as_deref())?,
        gres: word("--gres", options.gres.as_deref())?,
        time: time(options.time.as_deref())?,
        n_cpus: options.device.threads,
    })
}

fn run_options(options: &SubmitOptions) -> Vec<String> {
    let device = &options.device;
    let mut words = vec!["--device".to_owned(), device.device.clone()];
    for (option, value) in [
        ("--threads", device.threads),
        ("--networks", device.networks),
        ("--turns", device.turns),
        ("--batch", device.batch),
    ] {
        words.extend(value.map(|n| [option.to_owned(), n.to_string()]).into_iter().flatten());
    }
    if options.step_graph == StepGraph::On {
        words.extend(["--step-graph", "on"].map(str::to_owned));
    }
    if let Some(cuda) = &device.cuda {
        words.extend(["--cuda".to_owned(), cuda.clone()]);
    }
    if let Some(ByteSize(bytes)) = device.memory {
        words.extend(["--memory".to_owned(), bytes.to_string()]);
    }
    words
}

fn n_shards(asked: Option<u32>, plan: &Plan) -> Result<u32, CliError> {
    let n_blocks = plan.n_blocks();
    let is_timed = plan.protocol.needs().times_are_evidence();
    let most = if is_timed { 1 } else { u32::try_from(n_blocks).unwrap_or(u32::MAX) };
    let n_shards = asked.unwrap_or(DEFAULT_SHARDS.min(most));
    if (1..=most).contains(&n_shards) {
        return Ok(n_shards);
    }
    let expected = if is_timed {
        "1: the evidence is the time of one process that makes all blocks".to_owned()
    } else {
        format!("1 to {most}, since the plan has {n_blocks} blocks")
    };
    Err(CliError::option("--shards", &n_shards.to_string(), &expected))
}

fn throttle(asked: Option<u32>) -> Result<Option<u32>, CliError> {
    match asked {
        Some(0) => Err(CliError::option("--throttle", "0", "at least 1")),
        other => Ok(other),
    }
}

/// A value that goes into a job option as it is.
fn word(option: &'static str, value: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(value) = value else { return Ok(None) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:=/".contains(c);
    if value.is_empty() || !value.chars().all(plain) {
        return Err(CliError::option(option, value, "letters, digits and _ - . , : = / only"));
    }
    Ok(Some(value.to_owned()))
}

fn time(value: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(value) = value else { return Ok(None) };
    match time_limit_seconds(value) {
        Some(seconds) if seconds >= MIN_TIME_SECONDS => Ok(Some(value.to_owned())),
        Some(_) => {
            let expected = format!(
                "at least 5 minutes: Slurm warns a task {WARNING_SECONDS} s before the end, or up \
                to a minute earlier"
            );
            Err(CliError::option("--time", value, &expected))
        }
        None => Err(CliError::option("--time", value, "minutes, H:M:S or D-H:M:S, as 4:00:00")),
    }
}

fn absolute(path: &Path) -> Result<String, CliError> {
    let absolute = std::path::absolute(path).map_err(StoreError::read(path))?;
    match absolute.to_str() {
        Some(text) if !text.contains('\n') => Ok(text.to_owned()),
        _ => {
            let expected = "UTF-8 without line breaks, to stand in a script";
            Err(CliError::option("path", &absolute.to_string_lossy(), expected))
        }
    }
}

fn write(jobs: &SlurmJobs, plan: &Plan) -> Result<Submitted, CliError> {
    let folder = PathBuf::from(&jobs.logs);
    std::fs::create_dir_all(&folder).map_err(StoreError::write(&folder))?;
    let (array_script, evaluate_script) = (folder.join("array.sh"), folder.join("evaluate.sh"));
    for (path, script) in
        [(&array_script, jobs.array_script()), (&evaluate_script, jobs.evaluate_script())]
    {
        publish(path, script.as_bytes()).map_err(StoreError::write(path))?;
    }
    Ok(Submitted {
        plan_id: plan.id(),
        n_blocks: plan.n_blocks(),
        n_shards: jobs.n_shards,
        array_script,
        evaluate_script,
        array_job: None,
        evaluate_job: None,
    })
}

/// Queues a script, after every task of `array` has ended where one is given; the job id.
fn sbatch(array: Option<&str>, script: &Path) -> Result<String, CliError> {
    let refused = |reason: String, remedy: &str| {
        let queued = array.map(|id| format!(" (array job {id} is queued)")).unwrap_or_default();
        let remedy = format!("{remedy}{queued}");
        CliError::Scheduler { program: "sbatch", reason, remedy }
    };
    let output = Command::new("sbatch")
        .arg("--parsable")
        .args(array.map(|id| format!("--dependency=afterany:{id}")))
        .arg(script)
        .output()
        .map_err(|error| {
            let remedy = format!(
                "run this on a login node of the cluster, or write the scripts with --dry-run and \
                submit {} there",
                script.display()
            );
            refused(format!("cannot be started ({error})"), &remedy)
        })?;
    let (answer, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // `--parsable` prints ID, or ID;CLUSTER.
    let id = answer.trim().split(';').next().unwrap_or_default();
    if output.status.success() && !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(id.to_owned());
    }
    let said = [complaint.trim(), answer.trim()].into_iter().find(|text| !text.is_empty());
    let reason = format!("refused {} ({})", script.display(), said.unwrap_or("without a reason"));
    Err(refused(reason.replace('\n', "; "), "correct the option that it names and submit again"))
}
