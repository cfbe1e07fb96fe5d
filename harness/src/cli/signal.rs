//! SIGTERM, SIGINT and SIGUSR1: stop between denoising steps, lose nothing, exit 75.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// Installs the handlers and returns the flag that they raise.
///
/// The first signal raises the flag; a second SIGTERM or SIGINT ends the process at once, since a
/// user who asks twice means it.
///
/// # Errors
/// When the operating system refuses a handler.
pub(crate) fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    signal_hook::flag::register(SIGUSR1, Arc::clone(&flag))?;
    Ok(flag)
}
