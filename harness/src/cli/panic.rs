//! A panic is a bug of ours: one line that asks for a report, and exit code 1.

use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};

use super::arguments::Format;
use crate::exit::Exit;

/// Lets panics of all threads say one line on stderr; with `RUST_BACKTRACE`, the backtrace comes before it.
pub(super) fn speak_in_one_line(format: Format) {
    let backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        if backtrace {
            usual(info);
        }
        // With stderr closed there is nobody left to tell; the exit code still says it.
        let _ = writeln!(std::io::stderr().lock(), "{}", line(&message(info), format));
    }));
}

/// Runs a command; a panic ends as [`Exit::Bug`].
pub(super) fn caught(command: impl FnOnce() -> Exit) -> Exit {
    // Nothing of what the command held is looked at afterwards.
    catch_unwind(AssertUnwindSafe(command)).unwrap_or(Exit::Bug)
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("no message").replace('\n', " ");
    match info.location() {
        Some(place) => format!("{what} ({}:{})", place.file(), place.line()),
        None => what,
    }
}

fn line(what: &str, format: Format) -> String {
    let message =
        format!("a bug in dubench: {what}; please report it with the command that you ran");
    match format {
        Format::Text => format!("error: {message}"),
        Format::Json => {
            serde_json::json!({ "error": message, "exit_code": Exit::Bug as u8 }).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_any_thread_of_a_command_ends_as_a_bug() {
        assert_eq!(caught(|| Exit::Gate), Exit::Gate);
        assert_eq!(caught(|| panic!("asked for by a test")), Exit::Bug);
        let in_pool = || {
            rayon::join(|| (), || panic!("asked for by a test, in a pool"));
            Exit::Complete
        };
        assert_eq!(caught(in_pool), Exit::Bug);
    }

    #[test]
    fn it_says_one_line_that_asks_for_a_report() {
        let text = line("index out of bounds (metrics/src/mmd.rs:7)", Format::Text);
        assert!(
            text.starts_with("error: a bug in dubench: index") && text.contains("please report")
        );
        assert_eq!(text.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&line("x", Format::Json)).unwrap();
        assert_eq!(json["exit_code"], 1);
    }
}
