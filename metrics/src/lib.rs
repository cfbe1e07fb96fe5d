//! Exact metrics.
