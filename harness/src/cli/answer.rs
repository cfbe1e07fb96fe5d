//! The answer on stdout, and complaints on stderr.

use std::io::Write;

use serde::Serialize;

use super::arguments::Format;
use super::error::CliError;
use crate::exit::{Exit, Exits};

/// How this command was asked to speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Format of the answer.
    pub(crate) format: Format,
    /// No progress on stderr.
    pub(crate) quiet: bool,
}

impl Context {
    /// Prints the answer: `text` for people, or `value` as one line of JSON.
    pub(crate) fn answer(self, value: &impl Serialize, text: &str) -> Result<(), CliError> {
        let line = match self.format {
            Format::Text => text.to_owned(),
            Format::Json => {
                serde_json::to_string(value).map_err(|e| CliError::Bug(e.to_string()))?
            }
        };
        match writeln!(std::io::stdout().lock(), "{line}") {
            // Whoever reads has enough, as `head -1` does.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            ended => ended.map_err(CliError::Stdout),
        }
    }
}

/// One line on stderr, of what takes long.
pub(crate) fn tell(line: &str) {
    // With stderr closed there is nobody left to tell; the exit code still says it.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// One line on stderr; a JSON object where JSON was asked for.
pub(crate) fn complain(error: &CliError, format: Format) {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    match format {
        Format::Text => tell(&format!("error: {message}")),
        Format::Json => complain_in_json(&message, error.exit()),
    }
}

/// One JSON object on stderr: what is wrong, and how the process ends.
pub(crate) fn complain_in_json(message: &str, exit: Exit) {
    tell(&serde_json::json!({ "error": message.trim_end(), "exit_code": exit as u8 }).to_string());
}
