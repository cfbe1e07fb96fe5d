"""Inputs of an exported denoiser for ONNX Runtime: times in the type that its graph takes, classes where it has some."""

import numpy as np
import onnxruntime as ort

TIMES = {"tensor(int64)": np.int64, "tensor(float)": np.float32}


def time_type(denoiser: ort.InferenceSession) -> type:
    """Element type of the timestep."""
    return TIMES[next(port.type for port in denoiser.get_inputs() if port.name == "timestep")]


def has_classes(denoiser: ort.InferenceSession) -> bool:
    """Whether the graph takes a label."""
    return any(port.name == "label" for port in denoiser.get_inputs())


def epsilon(denoiser: ort.InferenceSession, x_t: np.ndarray, timestep: np.ndarray, label: np.ndarray | None) -> np.ndarray:
    """Prediction [n, 3, 32, 32] at `timestep` [n], with `label` [n] where the network has classes."""
    feed = {"sample": x_t, "timestep": timestep.astype(time_type(denoiser))}
    (found,) = denoiser.run(["eps"], feed if label is None else {**feed, "label": label})
    return found
