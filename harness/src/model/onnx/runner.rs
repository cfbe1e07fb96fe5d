//! ONNX Runtime as the runtime of the graph passes: one environment with the sessions.

use super::environment::environment;
use super::options::RuntimeOptions;
pub use crate::graph::OrtRunner;
use crate::model::ModelError;

/// A runner on the runtime of this process, with `n_threads` threads.
///
/// # Errors
/// [`ModelError::Runtime`] when the library cannot be had.
pub fn open(n_threads: usize) -> Result<OrtRunner, ModelError> {
    Ok(OrtRunner::new(environment(None)?.clone(), n_threads))
}

/// The runner of a session's options: their library and threads.
///
/// # Errors
/// [`ModelError::Runtime`] when the library cannot be had.
pub fn of(options: &RuntimeOptions) -> Result<OrtRunner, ModelError> {
    let environment = environment(options.library.as_deref())?;
    Ok(OrtRunner::new(environment.clone(), options.threads.max(1)))
}
