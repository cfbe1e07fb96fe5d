//! `dubench run | plan | thresholds | generate | features | evaluate | report | status | verify`.

use std::path::PathBuf;

use serde::Serialize;

use super::answer::Context;
use super::arguments::{PlanOptions, RunOptions, VerifyOptions};
use super::cost;
use super::error::CliError;
use super::publish as results;
use super::session::Session;
use super::setup;
use crate::exit::Exit;
use crate::experiment::print::plan_text;
use crate::stage::evaluate;
use crate::stage::evaluate::evaluation::{self, Evaluation};
use crate::stage::features::ExtractOptions;
use crate::stage::open::models;
use crate::stage::run::StageStatus;
use crate::stage::settings::GenerateOptions;
use crate::stage::{
    Run, StageSummary, features as features_stage, generate as generate_stage, run as run_stage,
    thresholds as thresholds_stage, verify as verify_stage,
};

#[derive(Serialize)]
struct Done {
    experiment: String,
    scale: String,
    plan_id: String,
    metrics_sha256: String,
    results: String,
    found: bool,
}

/// All stages; a shard ends after the features, since others hold the rest.
pub(super) fn run(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    setup::for_run(&options.target, context)?;
    let session = Session::open(options, context)?;
    let run = session.run(&options.folders.work_dir)?;
    let summary = threshold_blocks(&session, &run)?;
    if summary.n_left > 0 {
        return stage_answer(context, "thresholds", &summary);
    }
    let summary = generate_blocks(&session, &run)?;
    if summary.n_left > 0 {
        return stage_answer(context, "generate", &summary);
    }
    let summary = feature_blocks(&session, &run)?;
    if session.is_shard() {
        return stage_answer(context, "features", &summary);
    }
    let evaluation = evaluate::evaluate(&run, &session.experiment)?;
    publish(options, context, &session, (&run, &evaluation))
}

pub(super) fn plan(options: &PlanOptions, context: Context) -> Result<Exit, CliError> {
    let (experiment, plan) = options.target.resolve()?;
    evaluate::check_published(&experiment)?;
    if options.cost {
        let (value, text) = cost::answer(options, (&experiment, &plan))?;
        context.answer(&value, &text)?;
        return Ok(Exit::Complete);
    }
    let text = if options.print {
        plan_text(&plan).trim_end().to_owned()
    } else {
        format!(
            "{} at {}: {} images in {} blocks{}; plan {}",
            plan.experiment,
            plan.scale,
            plan.n_images(),
            plan.n_blocks(),
            plan.protocol.summary(&plan).map_or(String::new(), |words| format!(", {words}")),
            plan.id()
        )
    };
    context.answer(&plan, &text)?;
    Ok(Exit::Complete)
}

pub(super) fn thresholds(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    setup::for_run(&options.target, context)?;
    let session = Session::open(options, context)?;
    let run = session.run(&options.folders.work_dir)?;
    let summary = threshold_blocks(&session, &run)?;
    stage_answer(context, "thresholds", &summary)
}

pub(super) fn generate(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    setup::for_run(&options.target, context)?;
    let session = Session::open(options, context)?;
    let run = session.run(&options.folders.work_dir)?;
    let summary = generate_blocks(&session, &run)?;
    stage_answer(context, "generate", &summary)
}

pub(super) fn features(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    setup::for_run(&options.target, context)?;
    let session = Session::open(options, context)?;
    let run = session.run(&options.folders.work_dir)?;
    let summary = feature_blocks(&session, &run)?;
    stage_answer(context, "features", &summary)
}

pub(super) fn evaluate(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    let session = Session::open(options, context)?;
    let run = begun(&session, options)?;
    let evaluation = evaluate::evaluate(&run, &session.experiment)?;
    let text = format!(
        "{} numbers, sha256 {}{}",
        evaluation.numbers.rows.len(),
        evaluation.digest,
        if evaluation.found { " (found computed)" } else { "" }
    );
    context.answer(&evaluation.numbers.rows, &text)?;
    Ok(Exit::Complete)
}

pub(super) fn report(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    let session = Session::open(options, context)?;
    let run = begun(&session, options)?;
    let evaluation = evaluation::read(&run)?;
    publish(options, context, &session, (&run, &evaluation))
}

pub(super) fn status(options: &RunOptions, context: Context) -> Result<Exit, CliError> {
    let session = Session::open(options, context)?;
    let layout = run_stage::layout(&session.plan, &options.folders.work_dir);
    let stages = run_stage::status(&session.plan, &layout);
    let text: Vec<String> = stages.iter().map(status_line).collect();
    context.answer(&stages, &text.join("\n"))?;
    let complete = stages.iter().all(|stage| stage.n_present == stage.n_blocks);
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

pub(super) fn verify(options: &VerifyOptions, context: Context) -> Result<Exit, CliError> {
    let session = Session::open(&options.run, context)?;
    let run = begun(&session, &options.run)?;
    let mut model = || models::open_model(&session.experiment, &session.plan, &session.runtime);
    let mut extractor =
        || models::open_extractor(&session.experiment, &session.plan, &session.runtime);
    let networks = verify_stage::Networks { model: &mut model, extractor: &mut extractor };
    let how = (options.blocks as u64, session.generate);
    let verification = verify_stage::verify(&run, &session.experiment, how, networks)?;
    let artefacts = results::verify(&results_folder(&options.run, &session), &session.plan.id())?;
    let published = match artefacts {
        Some(n) => format!("{n} published files are what they were"),
        None => "nothing of this plan is published".to_owned(),
    };
    let sets = match verification.recomputed_sets.as_slice() {
        [] => String::new(),
        sets => format!("maps of threshold blocks {sets:?} made again, equal; "),
    };
    let text = format!(
        "{} parts hold what they claim; images and features of blocks {:?} made again, equal; {sets}all numbers, curves and scores computed again, equal (sha256 {}); {published}",
        verification.n_parts, verification.recomputed, verification.metrics_sha256
    );
    let answer = serde_json::json!({
        "n_parts": verification.n_parts, "recomputed": verification.recomputed,
        "recomputed_sets": verification.recomputed_sets,
        "metrics_sha256": verification.metrics_sha256, "n_published": artefacts,
    });
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}

/// The run in a work folder that is there: what only reads makes none by the name of a slip.
fn begun<'s>(session: &'s Session, options: &RunOptions) -> Result<Run<'s>, CliError> {
    let work = &options.folders.work_dir;
    if !work.is_dir() {
        let experiment = format!("{} at {}", session.plan.experiment, session.plan.scale);
        return Err(CliError::NotBegun { work: work.clone(), experiment });
    }
    session.run(work)
}

fn threshold_blocks(session: &Session, run: &Run<'_>) -> Result<StageSummary, CliError> {
    let mut runtimes = session.runtimes();
    let mut open = || {
        let runtime = runtimes.next().unwrap_or_default();
        models::open_model(&session.experiment, &session.plan, &runtime)
    };
    Ok(thresholds_stage::thresholds(run, session.generate, &mut open)?)
}

fn generate_blocks(session: &Session, run: &Run<'_>) -> Result<StageSummary, CliError> {
    let mut runtimes = session.runtimes();
    let mut open = || {
        let runtime = runtimes.next().unwrap_or_default();
        models::open_model(&session.experiment, &session.plan, &runtime)
    };
    let summary = generate_stage::generate(run, session.generate, &mut open)?;
    if summary.n_networks == 0 {
        models::check_files(&session.experiment, &session.plan.scale)?;
    }
    Ok(summary)
}

fn feature_blocks(session: &Session, run: &Run<'_>) -> Result<StageSummary, CliError> {
    let mut runtimes = session.runtimes();
    let mut open = || {
        let runtime = runtimes.next().unwrap_or_default();
        models::open_extractor(&session.experiment, &session.plan, &runtime)
    };
    let GenerateOptions { batch_size, networks, turns, .. } = session.generate;
    let options = ExtractOptions { batch_size, networks, turns };
    Ok(features_stage::features(run, options, &mut open)?)
}

fn results_folder(options: &RunOptions, session: &Session) -> PathBuf {
    options.folders.results_dir.join(&session.plan.experiment).join(&session.plan.scale)
}

fn publish(
    options: &RunOptions,
    context: Context,
    session: &Session,
    (run, evaluation): (&Run<'_>, &Evaluation),
) -> Result<Exit, CliError> {
    let folder = results_folder(options, session);
    results::publish(session, (run, evaluation), &folder, options)?;
    let done = Done {
        experiment: session.plan.experiment.clone(),
        scale: session.plan.scale.clone(),
        plan_id: session.plan.id(),
        metrics_sha256: evaluation.digest.clone(),
        results: folder.display().to_string(),
        found: evaluation.found,
    };
    let text = format!("{}\n{}", folder.join("table.md").display(), folder.join("plots").display());
    context.answer(&done, &text)?;
    Ok(Exit::Complete)
}

fn stage_answer(context: Context, stage: &str, summary: &StageSummary) -> Result<Exit, CliError> {
    let text = format!(
        "{stage}: {} blocks, {} were there, {} left; {} images in {:.1} s; {} networks side by side, {} images a call, busy for {:.1} s in all; {:.1} s to encode, hash and write",
        summary.n_blocks,
        summary.n_found,
        summary.n_left,
        summary.n_images,
        summary.wall.as_secs_f64(),
        summary.n_networks,
        summary.batch_size,
        summary.network.as_secs_f64(),
        summary.publish.as_secs_f64()
    );
    context.answer(
        &serde_json::json!({
            "stage": stage, "n_blocks": summary.n_blocks, "n_found": summary.n_found,
            "n_left": summary.n_left, "n_images": summary.n_images,
            "wall_seconds": summary.wall.as_secs_f64(),
            "network_seconds": summary.network.as_secs_f64(),
            "publish_seconds": summary.publish.as_secs_f64(),
            "n_networks": summary.n_networks, "batch_size": summary.batch_size,
        }),
        &text,
    )?;
    Ok(if summary.n_left > 0 { Exit::Incomplete } else { Exit::Complete })
}

fn status_line(stage: &StageStatus) -> String {
    let mut line = format!("{:10} {} of {} blocks", stage.stage, stage.n_present, stage.n_blocks);
    if !stage.missing.is_empty() {
        line.push_str(&format!("; missing {:?}", stage.missing));
    }
    if !stage.failed.is_empty() {
        line.push_str(&format!("; failed {:?}", stage.failed));
    }
    line
}
