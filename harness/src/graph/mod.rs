//! ONNX graphs made from ONNX graphs. The only door to `prost`.
