//! What can be wrong with the input of a metric.

/// Why a metric was refused.
///
/// Every variant says which argument is at fault, what was found, and what is accepted. A metric never
/// answers with NaN: input for which a number would mean nothing ends here.
///
/// # Examples
/// ```
/// use dubench_metrics::{MetricError, Moments};
/// use ndarray::array;
/// let error = Moments::from_rows(&array![[1.0, f64::NAN]]).unwrap_err();
/// assert!(matches!(error, MetricError::NonFinite { row: 0, column: 1, .. }));
/// assert_eq!(error.to_string(), "features holds NaN at row 0, column 1: remove or recompute that row");
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Fewer samples than the metric is defined for.
    #[error("{what} has {got} samples, at least {needed} are needed: give more samples")]
    TooFewSamples {
        /// The argument.
        what: &'static str,
        /// Samples found.
        got: usize,
        /// Samples needed.
        needed: usize,
    },
    /// Two arguments that must agree in a length do not.
    #[error(
        "{what} has length {got}, expected {expected}: both arguments must describe the same data"
    )]
    LengthMismatch {
        /// The argument and the axis.
        what: &'static str,
        /// Length found.
        got: usize,
        /// Length expected.
        expected: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{what} holds {value} at row {row}, column {column}: remove or recompute that row")]
    NonFinite {
        /// The argument.
        what: &'static str,
        /// Row of the first such value.
        row: usize,
        /// Column of the first such value.
        column: usize,
        /// The value, as text, because NaN equals nothing.
        value: String,
    },
    /// A matrix that must be symmetric and is not.
    #[error(
        "{what} is not symmetric: entries ({row}, {column}) and its mirror differ by {difference:e}; \
         give the covariance itself, in row-major order"
    )]
    NotSymmetric {
        /// The argument.
        what: &'static str,
        /// Row of the worst pair.
        row: usize,
        /// Column of the worst pair.
        column: usize,
        /// Difference of the pair.
        difference: f64,
    },
    /// A matrix with an eigenvalue that is negative by more than rounding.
    #[error(
        "{what} is not positive semidefinite: eigenvalue {eigenvalue:e} beside a largest of {largest:e}; \
         a covariance has none below zero, so recompute it in f64"
    )]
    NotPositiveSemidefinite {
        /// The argument.
        what: &'static str,
        /// The smallest eigenvalue.
        eigenvalue: f64,
        /// The largest eigenvalue.
        largest: f64,
    },
    /// A parameter outside its range.
    #[error("{what} is {got}, expected {expected}")]
    OutOfRange {
        /// The parameter.
        what: &'static str,
        /// The value found.
        got: String,
        /// The values accepted.
        expected: String,
    },
    /// An eigenvalue iteration that did not converge.
    #[error("the eigenvalue iteration for {what} did not converge: check the scale of the input")]
    NoConvergence {
        /// The matrix.
        what: &'static str,
    },
}

/// The result of a metric.
pub type Result<T> = std::result::Result<T, MetricError>;

impl MetricError {
    /// An [`MetricError::OutOfRange`] from anything that can be printed.
    pub(crate) fn out_of_range(
        what: &'static str,
        got: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::OutOfRange { what, got: got.to_string(), expected: expected.to_string() }
    }
}

/// Refuses lengths that differ.
pub(crate) fn same_length(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(MetricError::LengthMismatch { what, got, expected }) }
}

/// Refuses fewer than `needed` samples.
pub(crate) fn at_least(what: &'static str, got: usize, needed: usize) -> Result<()> {
    if got >= needed { Ok(()) } else { Err(MetricError::TooFewSamples { what, got, needed }) }
}
