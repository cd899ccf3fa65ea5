"""Run a part of a checkpoint through the torch modules that it was trained as."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from neon_ros.act.checkpoint import Checkpoint
from neon_ros.act.manifest import WHOLE_FORMAT
from neon_ros.act.networks.config import saved_config
from neon_ros.act.networks.model import NeonModel, graph_module
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.robot.joints import joint_indices


def network_of(checkpoint: Checkpoint) -> NeonModel:
    """Return the network of a checkpoint with its weights, ready to run.

    :raises CheckpointError: when the weights are not those of such a network.
    """
    manifest = checkpoint.manifest
    if manifest.format == WHOLE_FORMAT:
        allowed = "ort: an exported checkpoint has no weights but those in its graphs"
        raise CheckpointError(refuse(f"runtime of {checkpoint.folder}", "torch", allowed))
    columns = tuple(int(index) for index in joint_indices(manifest.joint_names))
    try:
        model = NeonModel(saved_config(manifest.head, columns, manifest.training.get("network", {})))
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in checkpoint.weights.items()})
    except (RuntimeError, TypeError, ConfigError) as error:
        got = str(error).splitlines()[0]
        raise CheckpointError(refuse(f"weights of {checkpoint.folder}", got, "those of its network")) from error
    return model.eval().requires_grad_(False)


class TorchPart:
    """One part in torch, eager."""

    def __init__(self, checkpoint: Checkpoint, part: str, provider: str) -> None:
        """Open ``part``.

        :param provider: ``cpu`` or ``cuda``.
        :raises ConfigError: when there is no such processor.
        :raises CheckpointError: see :func:`network_of`.
        """
        if part not in checkpoint.manifest.graphs:
            allowed = ", ".join(checkpoint.manifest.graphs)
            raise CheckpointError(refuse(f"part of checkpoint {checkpoint.folder}", part, allowed))
        if provider == "cuda" and not torch.cuda.is_available():
            raise ConfigError(refuse("provider of runtime torch", "cuda", "cpu: torch sees no GPU here"))
        self._device = torch.device(provider)
        self._module = graph_module(network_of(checkpoint), part).to(self._device)
        spec = checkpoint.manifest.graphs[part]
        self.inputs, self.outputs = tuple(spec.inputs), tuple(spec.outputs)

    def run(self, feed: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return the values of ``outputs``."""
        with torch.inference_mode():
            said = self._module(*(torch.from_numpy(feed[name]).to(self._device) for name in self.inputs))
            return [value.cpu().numpy() for value in (said if isinstance(said, tuple) else (said,))]
