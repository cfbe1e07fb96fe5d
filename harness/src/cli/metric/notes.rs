//! What a reader of a number should know: below the text, and as `notes` in JSON.

use crate::cli::error::CliError;

/// The text with one line a note.
pub(super) fn with_notes(mut text: String, notes: &[String]) -> String {
    for note in notes {
        text.push_str("\nnote: ");
        text.push_str(note);
    }
    text
}
/// Refuses numbers that overflowed on the way: no answer is better than one that is none.
pub(super) fn finite(numbers: &[(&str, f64)]) -> Result<(), CliError> {
    let Some((name, value)) = numbers.iter().find(|(_, value)| !value.is_finite()) else {
        return Ok(());
    };
    Err(CliError::Mismatch(format!(
        "{name} is {value}: values of the inputs are too large, or lie too far apart, for float64; scale all of them by one factor"
    )))
}
