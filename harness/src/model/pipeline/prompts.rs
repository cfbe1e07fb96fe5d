//! Prompts of an experiment, inline or from a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::config::PipelineConfig;
use crate::model::ModelError;

/// Largest file of prompts.
const MAX_BYTES: u64 = 1 << 26;

/// The prompts, in order.
///
/// # Errors
/// [`ModelError::Bundle`] for a file that is missing, too large, no UTF-8, or has an empty line or none at all.
pub fn of(config: &PipelineConfig, base: &Path) -> Result<Vec<String>, ModelError> {
    let Some(file) = &config.prompt_file else {
        return Ok(config.prompts.clone().unwrap_or_default());
    };
    let path = base.join(file);
    let fault = |message: String| ModelError::Bundle { path: path.display().to_string(), message };
    let unread = |error: std::io::Error| {
        fault(format!("cannot be read: {error}; expected a text file, one prompt a line"))
    };
    let mut bytes = Vec::new();
    let read = File::open(&path).map_err(unread)?.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    if read.map_err(unread)? as u64 > MAX_BYTES {
        return Err(fault(format!("is larger than {MAX_BYTES} bytes: is this the right file?")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        fault(format!("is no UTF-8 at byte {at}, in line {line}: save it as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let empty = (1..).zip(text.lines()).find(|(_, line)| line.trim().is_empty());
    if let Some((number, _)) = empty {
        return Err(fault(format!(
            "line {number} is empty: take it out, or write the empty prompt inline as prompts: [\"\"]"
        )));
    }
    let prompts: Vec<String> = text.lines().map(str::to_owned).collect();
    if prompts.is_empty() {
        return Err(fault("has no prompt: write one a line".to_owned()));
    }
    Ok(prompts)
}
