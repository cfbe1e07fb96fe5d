//! Commands: one a file. The only door to `clap` and `indicatif`.

mod answer;
mod arguments;
mod benchmark;
mod check;
mod collect;
mod cost;
mod doctor;
mod error;
mod extractor;
mod fit_laplace;
mod found;
mod gc;
mod graph;
mod import_stats;
mod load;
mod memory;
mod metric;
mod model;
mod model_pipeline;
mod model_words;
mod output;
mod panic;
mod progress;
mod publish;
mod run_record;
mod sample;
mod sample_source;
mod session;
mod setup;
mod signal;
mod stages;
mod starts;
mod stats;
mod submit;
mod summary;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use error::CliError;

use crate::exit::{Exit, Exits};

/// Parses the command line, runs the command, prints its answer to stdout and errors to stderr.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    start_log(arguments.verbose);
    panic::speak_in_one_line(arguments.format);
    panic::caught(|| match run(&arguments) {
        Ok(exit) => exit,
        Err(error) => {
            answer::complain(&error, arguments.format);
            error.exit()
        }
    })
    .into()
}

fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let context = answer::Context { format: arguments.format, quiet: arguments.quiet };
    match &arguments.command {
        Command::Run(options) => stages::run(options, context),
        Command::Plan(options) => stages::plan(options, context),
        Command::Thresholds(options) => stages::thresholds(options, context),
        Command::Generate(options) => stages::generate(options, context),
        Command::Features(options) => stages::features(options, context),
        Command::Evaluate(options) => stages::evaluate(options, context),
        Command::Report(options) => stages::report(options, context),
        Command::Starts(options) => starts::run(options, context),
        Command::Status(options) => stages::status(options, context),
        Command::Verify(options) => stages::verify(options, context),
        Command::Gc(options) => gc::gc(options, context),
        Command::Collect(options) => collect::collect(options, context),
        Command::Summary(options) => summary::summary(options, context),
        Command::Submit(options) => submit::submit(options, context),
        Command::Sample(options) => sample::run(options, context),
        Command::Metric(command) => metric::run(command, context),
        Command::FitLaplace(options) => fit_laplace::run(options, context),
        Command::Stats(options) => stats::run(options, context),
        Command::ImportStats(options) => import_stats::run(options, context),
        Command::Check(options) => check::check(options, context),
        Command::Compare(options) => check::compare(options, context),
        Command::Graph(command) => graph::run(command, context),
        Command::Model(command) => model::run(command, context),
        Command::Setup(options) => setup::run(options, context),
        Command::Doctor(options) => doctor::run(options, context),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // `--help` and `--version` arrive here as errors that are none.
    if !error.use_stderr() {
        // A closed pipe is no reason to fail.
        let _ = error.print();
        return Exit::Complete.into();
    }
    if asks_for_json(std::env::args_os().skip(1)) {
        answer::complain_in_json(&error.render().to_string(), Exit::Usage);
    } else {
        let _ = error.print();
    }
    Exit::Usage.into()
}

/// Whether a command line that could not be understood asks for JSON: its last word on it counts.
fn asks_for_json(words: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .take_while(|word| word != "--")
        .collect();
    let pairs = words.iter().zip(words.iter().skip(1).map(Some).chain([None]));
    let said = pairs.filter_map(|(word, next)| match word.strip_prefix("--format") {
        Some("") => next.map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    said.last() == Some("json")
}

fn start_log(verbose: u8) {
    let level = match verbose {
        // What the runtime logs of an error it also answers with, and we print that. What a prompt loses nobody else says.
        0 => "error,ort=off,dubench::model::pipeline=warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DUBENCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // Only the first subscriber of a process counts; a second call changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::asks_for_json;

    #[test]
    fn the_last_format_of_a_line_that_is_not_understood_counts() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(Into::into));
        assert!(asks("metric fid --format json --nope") && asks("--format=json run x"));
        assert!(asks("--format text --format=json") && !asks("--format json --format text"));
        assert!(!asks("run x") && !asks("run --format") && !asks("run -- --format json"));
        assert!(!asks("run --formats json"));
    }
}
