"""Files of tiny pipelines in the layout of Optimum: graphs with the names that it gives, JSON as diffusers saves it."""

import json
import tempfile
from pathlib import Path

import onnx
import torch

OPSET = 17
SIDE = {0: "batch_size", 2: "height", 3: "width"}
TEXT = {0: "batch_size", 1: "sequence_length"}
BATCH = {0: "batch_size"}


class Wrapped(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner


class Decoder(Wrapped):
    def forward(self, latent_sample):
        return self.inner.decode(latent_sample, return_dict=False)[0]


class Projected(Wrapped):
    """A text encoder with its hidden states: the projection of CLIP's second encoder first, where there is one."""

    def __init__(self, inner: torch.nn.Module, first: str | None) -> None:
        super().__init__(inner)
        self.first = first

    def forward(self, input_ids):
        out = self.inner(input_ids=input_ids, output_hidden_states=True)
        first = () if self.first is None else (getattr(out, self.first),)
        return (*first, out.last_hidden_state, *out.hidden_states)

    def names(self) -> list[str]:
        states = [f"hidden_states.{at}" for at in range(self.inner.config.num_hidden_layers + 1)]
        return ([] if self.first is None else [self.first]) + ["last_hidden_state", *states]


class T5(Wrapped):
    def forward(self, input_ids):
        return self.inner(input_ids=input_ids).last_hidden_state


def export(module: torch.nn.Module, path: Path, inputs: dict[str, torch.Tensor], outputs: list[str], axes: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The exporter gives a module back as it found it, and a wrapper is found in training: dropout would be on afterwards.
    module.eval()
    with torch.no_grad():
        torch.onnx.export(
            module, tuple(inputs.values()), str(path), input_names=list(inputs), output_names=outputs,
            dynamic_axes=axes, opset_version=OPSET, do_constant_folding=True, dynamo=False,
        )


def slim(path: Path) -> None:
    """Short names within, and no traces of source lines: these are most of a small file."""
    model = onnx.load(path)
    graph = model.graph
    kept = {value.name for value in [*graph.input, *graph.output]} | {""}
    known: dict[str, str] = {}
    short = lambda name: name if name in kept else known.setdefault(name, f"v{len(known)}")
    for at, node in enumerate(graph.node):
        if any(part.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for part in node.attribute):
            raise SystemExit(f"{path}: {node.name} has a graph within, whose names are its own")
        node.name, node.doc_string = f"n{at}", ""
        del node.metadata_props[:]
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export_text(module: Wrapped, path: Path, outputs: list[str]) -> None:
    axes = {"input_ids": TEXT} | {name: BATCH if name == "text_embeds" else TEXT for name in outputs}
    export(module, path, {"input_ids": torch.zeros(2, 77, dtype=torch.int64)}, outputs, axes)
    slim(path)


def export_decoder(vae: torch.nn.Module, path: Path, channels: int) -> None:
    latent = {0: "batch_size", 2: "latent_height", 3: "latent_width"}
    export(Decoder(vae), path, {"latent_sample": torch.randn(2, channels, 16, 16)}, ["sample"],
           {"latent_sample": latent, "sample": SIDE})
    slim(path)


def write_json(pipeline, folder: Path, parts: dict[str, str]) -> None:
    """`model_index.json`, the scheduler and the `config.json` of each part; `parts` names folders by those of diffusers."""
    with tempfile.TemporaryDirectory() as saved:
        pipeline.save_pretrained(saved)
        names = {f"{source}/config.json": f"{target}/config.json" for source, target in parts.items()}
        names |= {name: name for name in ("model_index.json", "scheduler/scheduler_config.json")}
        for source, target in names.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            values = json.loads((Path(saved) / source).read_text())
            values.pop("_name_or_path", None)
            if target == "model_index.json":
                values["_note"] = "random weights: pictures and numbers mean nothing"
            (folder / target).write_text(json.dumps(values, indent=2) + "\n")


def write_scheduler(scheduler, path: Path) -> None:
    text = json.dumps(dict(scheduler.config) | {"_class_name": type(scheduler).__name__}, indent=2)
    path.write_text(text + "\n")
