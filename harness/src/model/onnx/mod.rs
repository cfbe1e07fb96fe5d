//! The only door to ONNX Runtime.

pub mod runner;
