"""What runs a part of a checkpoint: ONNX Runtime on a processor of choice, or torch with the same weights.

ONNX Runtime falls back to the CPU without a word when a provider cannot start; here that is refused, so that nobody
measures, or relies on, another processor than the one asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.checkpoint import Checkpoint
from neon_ros.act.tuning import WORDS, cut_words, fuse_norms, same
from neon_ros.errors import CheckpointError, ConfigError, refuse

RUNTIMES: tuple[str, ...] = ("ort", "torch")
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Runtime:
    """What runs the graphs.

    :param name: one of :data:`RUNTIMES`.
    :param provider: processor, a key of :data:`PROVIDERS`; torch knows ``cpu`` and ``cuda``.
    :param threads: of one inference on a CPU; one is fastest for graphs this small.
    """

    name: str = "ort"
    provider: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.name not in RUNTIMES:
            raise ConfigError(refuse("runtime", self.name, ", ".join(RUNTIMES)))
        known = [name for name in PROVIDERS if self.name == "ort" or name != "tensorrt"]
        if self.provider not in known:
            raise ConfigError(refuse(f"provider of runtime {self.name}", self.provider, ", ".join(known)))
        if not 1 <= self.threads <= 64:
            raise ConfigError(refuse("threads of runtime", self.threads, "1 to 64"))


DEFAULT = Runtime()


class Part(Protocol):
    """One part of a checkpoint, ready to run."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feed: Tensors) -> list[NDArray[np.float32]]:
        """Return the values of ``outputs``."""
        ...


def open_part(checkpoint: Checkpoint, part: str, runtime: Runtime = DEFAULT) -> Part:
    """Open one part of a checkpoint.

    :raises CheckpointError: when the graph is missing or broken, or the runtime cannot run it.
    :raises ConfigError: when the machine has no such processor.
    """
    if runtime.name == "ort":
        return OrtPart(checkpoint, part, runtime)
    try:
        made: Part = import_module("neon_ros.act.networks.runner").TorchPart(checkpoint, part, runtime.provider)
    except ModuleNotFoundError as error:
        raise ConfigError(refuse("runtime torch", f"no package {error.name}", "one that is installed")) from error
    return made


class OrtPart:
    """A graph on ONNX Runtime, its norms fused; what depends on the words alone is kept until they change."""

    def __init__(self, checkpoint: Checkpoint, part: str, runtime: Runtime) -> None:
        """Open ``part``; see :func:`open_part`."""
        import onnx

        where = str(checkpoint.folder / f"{part}.onnx")
        proto = onnx.load_model_from_string(checkpoint.graph(part))
        weights = {item.name for item in proto.graph.initializer}
        self.inputs = tuple(item.name for item in proto.graph.input if item.name not in weights)
        self.outputs = tuple(item.name for item in proto.graph.output)
        fuse_norms(proto)
        halves = cut_words(proto) if set(WORDS) <= set(self.inputs) else None
        self._words: Any = None
        self._kept_words: dict[str, NDArray[np.float32]] | None = None
        self._kept: dict[str, NDArray[np.float32]] = {}
        if halves is not None:
            self._words, self._between = _session(halves.words, runtime, where), list(halves.between)
            self._session = _session(halves.rest, runtime, where)
        else:
            self._session = _session(proto.SerializeToString(), runtime, where)
        self._names = [item.name for item in self._session.get_inputs()]

    def run(self, feed: Tensors) -> list[NDArray[np.float32]]:
        """Return the values of ``outputs``."""
        tensors = feed
        if self._words is not None:
            given = {name: feed[name] for name in WORDS}
            if not same(self._kept_words, given):
                self._kept = dict(zip(self._between, self._words.run(self._between, given), strict=True))
                self._kept_words = {name: value.copy() for name, value in given.items()}
            tensors = {**feed, **self._kept}
        said: list[NDArray[np.float32]] = self._session.run(self.outputs, {name: tensors[name] for name in self._names})
        return said


def _session(model: bytes, runtime: Runtime, where: str) -> Any:
    """Return an inference session; refuse a model that cannot run, and a processor that is not there."""
    import onnxruntime as ort

    provider = PROVIDERS[runtime.provider]
    available = ort.get_available_providers()
    if provider not in available:
        names = [name for name, full in PROVIDERS.items() if full in available]
        allowed = f"{', '.join(names)} (with this build of ONNX Runtime)"
        raise ConfigError(refuse("provider of runtime ort", runtime.provider, allowed))
    options = ort.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # ONNX Runtime raises a dozen types that share no base but Exception
        raise CheckpointError(refuse(where, str(error).splitlines()[0], "a graph ONNX Runtime can run")) from error
    if session.get_providers()[0] != provider:
        got = f"{runtime.provider}, which did not start"
        raise ConfigError(refuse("provider of runtime ort", got, "one whose libraries and device are there"))
    return session
