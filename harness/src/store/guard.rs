//! Decoders of others, and what they do on bytes that nobody wrote.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use super::StoreError;

thread_local! {
    /// Whether this thread is inside a guarded decoder.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder on `path`; where it panics, the file is malformed, and nothing is printed.
///
/// # Why?
/// The decoder of Parquet pages trusts their headers in places: a length that is wrong divides by zero or indexes
/// past a buffer (found by the fuzzer, inputs in `tests/data/fuzz/part`). The hash beside a part is checked before,
/// but a part whose writer was killed before the hash is read without one.
///
/// # Errors
/// Those of `decode`, and [`StoreError::Malformed`] for a panic.
pub(super) fn guarded<T>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    // Nothing that the decoder has changed is looked at after a panic: it owns all that it works on.
    let result = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        Err(StoreError::malformed(path, format!("its decoder gave up: {}", words(panic.as_ref()))))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_file_and_the_reason() {
        let zero = std::hint::black_box(0);
        let error = guarded(Path::new("p"), || Ok(1 / zero)).unwrap_err();
        assert!(
            error.to_string().starts_with("p: its decoder gave up: attempt to divide"),
            "{error}"
        );
        assert!(!GUARDED.get());
        assert_eq!(guarded(Path::new("p"), || Ok(7)).unwrap(), 7);
    }
}
