"""Turns checkpoints of published diffusion models into bundles, without torch: numpy and onnx, no code of a pickle."""
