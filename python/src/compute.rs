//! Work without the interpreter: the lock is released, threads are ours, and a refusal becomes `ValueError`.

use std::sync::{Arc, Mutex, PoisonError};

use dubench_metrics::MetricError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::arrays::refused;

/// The threads of a process, and which process they belong to.
static THREADS: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` on our threads (`RAYON_NUM_THREADS` of them, else one a core) while other Python threads go on.
///
/// # Errors
/// `ValueError` with the words of the metric; `RuntimeError` where no thread can be started.
pub(crate) fn compute<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, MetricError> + Send,
) -> PyResult<T> {
    let threads = threads()?;
    py.detach(move || threads.install(work)).map_err(|error| refused(error.to_string()))
}

/// [`compute`] over the rows of one argument, which the metrics know as "features" alone.
///
/// # Errors
/// As [`compute`]; NaN and infinity are said to be in the argument `name`.
pub(crate) fn compute_over<T: Send>(
    py: Python<'_>,
    name: &str,
    work: impl FnOnce() -> Result<T, MetricError> + Send,
) -> PyResult<T> {
    let threads = threads()?;
    py.detach(move || threads.install(work)).map_err(|error| {
        let words = error.to_string();
        let rest = words.strip_prefix("features holds ").map(str::to_owned);
        refused(rest.map_or(words, |rest| format!("{name} holds {rest}")))
    })
}

/// The pool of this process.
///
/// Why not the global pool of `rayon`? `multiprocessing` forks, and in the child that pool has no threads: the first
/// call would wait for ever. A pool that another process started is left alone, since its threads cannot be joined.
fn threads() -> PyResult<Arc<ThreadPool>> {
    let process = std::process::id();
    let mut current = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, pool)) = current.as_ref()
        && *owner == process
    {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new()
        .thread_name(|index| format!("dubench-{index}"))
        .build()
        .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?;
    let pool = Arc::new(pool);
    if let Some(other) = current.replace((process, Arc::clone(&pool))) {
        std::mem::forget(other);
    }
    Ok(pool)
}
