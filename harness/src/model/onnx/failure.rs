//! What the runtime says when it fails, with the remedy.

use super::device::Device;
use crate::model::ModelError;

pub(super) fn open_failure(graph: &str, device: Device, what: &str, error: &str) -> ModelError {
    ModelError::Runtime {
        context: format!("{graph} on {device}"),
        message: format!("{what}: {error}"),
    }
}

pub(super) fn run_failure(graph: &str, error: &str) -> ModelError {
    let (context, message) = (graph.to_owned(), error.to_owned());
    if is_out_of_memory(error) {
        return ModelError::OutOfMemory { context, message };
    }
    match shapes_apart(error) {
        Some(message) => ModelError::Bundle { path: context, message },
        None => ModelError::Runtime { context, message },
    }
}

/// What a node said that the device has no kernel for, with the remedy.
pub(super) fn no_kernel(device: Device, error: &str) -> Option<String> {
    let (_, rest) = error.split_once("Could not find an implementation for ")?;
    let (operator, rest) = rest.split_once(" node with name '")?;
    let (node, _) = rest.split_once('\'')?;
    let operator = operator.split_once('(').map_or(operator, |(name, _)| name);
    Some(format!(
        "node {node} ({operator}) has no kernel on {device} for its element types, of which bfloat16 has next to none: export the network in float32 or float16"
    ))
}

/// What a node that cannot take the shapes it is given said, with the remedy.
fn shapes_apart(error: &str) -> Option<String> {
    let (_, rest) = error.split_once("while running ")?;
    let (operator, rest) = rest.split_once(" node. Name:'")?;
    let (node, reason) = rest.split_once("' Status Message: ")?;
    // In front of the reason stand a line of the runtime's source and its condition.
    let reason = reason.rsplit_once(" was false. ").map_or(reason, |(_, reason)| reason).trim();
    let words = ["broadcast", "shape", "dimension"];
    words.iter().any(|word| reason.to_lowercase().contains(word)).then(|| {
        format!(
            "node {node} ({operator}) cannot take what it is given: {reason}; check `task.image` of model.yaml, or export the network for images of this size"
        )
    })
}

/// Whether the runtime failed for want of memory. Its error codes do not tell, its words do: those of its arena on
/// the CPU and on CUDA, of the C++ allocator, and of the CUDA libraries.
fn is_out_of_memory(error: &str) -> bool {
    let words = [
        "Failed to allocate memory",
        "bad_alloc",
        "CUDA out of memory",
        "CUDA failure 2: out of memory",
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED",
    ];
    words.iter().any(|words| error.contains(words))
}

#[cfg(test)]
mod tests {
    use super::run_failure;
    use crate::model::ModelError;

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        // As ONNX Runtime 1.32 says it under a limit of the address space.
        let words = "Non-zero status code returned while running Conv node. Name:'c' Status Message: \
                     bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 268435456";
        assert!(matches!(run_failure("g", words), ModelError::OutOfMemory { .. }));
        assert!(matches!(run_failure("g", "Invalid input shape"), ModelError::Runtime { .. }));
        // ONNX Runtime 1.32.0 on `fixed_positions.onnx`.
        let words = "Non-zero status code returned while running Add node. Name:'positions' Status Message: \
                     /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563 void \
                     onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. \
                     Attempting to broadcast an axis by a dimension other than 1. 4 by 6";
        assert_eq!(
            run_failure("g, g.onnx", words).to_string(),
            "g, g.onnx: node positions (Add) cannot take what it is given: Attempting to broadcast an axis by a \
             dimension other than 1. 4 by 6; check `task.image` of model.yaml, or export the network for images of this size"
        );
    }
}
