//! Why a graph could not be read, rewritten or written.

/// Errors of the graph passes. Each text says what, where, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A file could not be read.
    #[error("{path}: {message}")]
    File {
        /// The file or folder.
        path: String,
        /// The operating system's words, and the remedy.
        message: String,
    },
    /// A file could not be written. Nothing of it is there.
    #[error(
        "{path}: cannot be written: {message}; nothing was written: free space or fix the permissions, then run the same command again"
    )]
    Write {
        /// The file.
        path: String,
        /// The operating system's words.
        message: String,
    },
    /// Bytes that are no ONNX model.
    #[error(
        "{model}: not a readable ONNX model: {message}: it is damaged or cut off, export or fetch it again"
    )]
    Decode {
        /// Path or description of the model.
        model: String,
        /// What the decoder met.
        message: String,
    },
    /// Weights outside the model file that may not or cannot be read.
    #[error("{model}: external data of tensor {tensor}: {message}")]
    ExternalData {
        /// Path of the model.
        model: String,
        /// The initializer.
        tensor: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The model uses a part of ONNX that no pass can carry over.
    #[error("{model}: {what}: {remedy}")]
    Unsupported {
        /// Path or description of the model.
        model: String,
        /// What was found.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// One node stands in the way.
    #[error("{model}: node {node} ({op}): {what}")]
    Node {
        /// Path or description of the model.
        model: String,
        /// Name of the node, or the value that it makes.
        node: String,
        /// Operator.
        op: String,
        /// What is wrong, expected, or to do.
        what: String,
    },
    /// Inputs or outputs are not what the pass needs.
    #[error("{model}: {message}")]
    Interface {
        /// Path or description of the model.
        model: String,
        /// What was found, what was expected, how to choose.
        message: String,
    },
    /// The runtime failed while shapes were probed.
    #[error("{context}: {message}")]
    Runtime {
        /// What was being done.
        context: String,
        /// The runtime's own words.
        message: String,
    },
    /// A model of 2 GiB or more cannot be one protobuf message.
    #[error(
        "{model}: {bytes} bytes do not fit in one ONNX message (limit {limit}): write it to a path, which puts the weights into a file beside it"
    )]
    TooLarge {
        /// Path or description of the model.
        model: String,
        /// Bytes needed.
        bytes: usize,
        /// Largest message.
        limit: usize,
    },
}
