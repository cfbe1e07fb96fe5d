//! What a reader of a number should know: below the text, and as `notes` in JSON.

/// The text with one line a note.
pub(super) fn with_notes(mut text: String, notes: &[String]) -> String {
    for note in notes {
        text.push_str("\nnote: ");
        text.push_str(note);
    }
    text
}
