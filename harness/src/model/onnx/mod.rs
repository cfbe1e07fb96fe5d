//! The only door to ONNX Runtime.
