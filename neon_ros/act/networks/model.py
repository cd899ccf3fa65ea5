"""The parts of a checkpoint under their own names: the encoders, and whichever head the configuration asks for."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from neon_ros.act.manifest import JUDGE
from neon_ros.act.networks.config import HeadConfig
from neon_ros.act.networks.dit import DitHead
from neon_ros.act.networks.ensemble import EnsembleHead
from neon_ros.act.networks.flow import FlowHead
from neon_ros.act.networks.flow_matching import FlowMatchingHead
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead
from neon_ros.act.networks.mlp import MlpHead
from neon_ros.act.networks.state_relative import StateRelativeHead
from neon_ros.encode.networks import EefNet, LidarNet, ProprioNet

NETWORKS: dict[str, type[ActionHead]] = {
    "mlp": MlpHead,
    "flow_matching": FlowMatchingHead,
    "dit": DitHead,
    "state_relative": StateRelativeHead,
    "ensemble": EnsembleHead,
}


class NeonModel(nn.Module):
    """The parts of a checkpoint."""

    def __init__(self, config: HeadConfig) -> None:
        """Build all parts with fresh weights."""
        super().__init__()
        self.proprio = ProprioNet()
        self.lidar = LidarNet()
        self.eef = EefNet()
        self.head = NETWORKS[config.head](config)

    def context(self, batch: Mapping[str, Tensor], sentences: int = 1) -> Context:
        """Return what the head is told, for raw inputs, the tensors of all parts by name.

        :param batch: B captures; ``text``, ``text_mask``, ``present`` and ``age`` have B R rows, R per capture.
        :param sentences: R.
        """

        def shared(x: Tensor) -> Tensor:
            return x.repeat_interleave(sentences, 0)

        context: Context = self.head.fusion(
            batch["vision"],
            batch["text"],
            batch["text_mask"],
            shared(self.proprio(batch["proprio"])),
            shared(self.lidar(batch["points"], batch["mask"])),
            shared(self.eef(batch["eef"])),
            batch["present"],
            batch["age"],
            shared(batch["q"]),
            sentences,
        )
        return context

    def seeing(self) -> list[nn.Parameter]:
        """Return the weights in front of the head proper, which another checkpoint may lend."""
        head = {id(p) for name, p in self.head.named_parameters() if not name.startswith("fusion.")}
        tokens = self.head.fusion.tokens
        own = head | ({id(p) for p in tokens.parameters()} if tokens is not None else set())
        return [p for p in self.parameters() if id(p) not in own]


def count_parameters(model: NeonModel, parts: Sequence[str]) -> dict[str, int]:
    """Return the number of trainable values per part."""
    return {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in parts}


def graph_module(model: NeonModel, graph: str) -> nn.Module:
    """Return the module whose ``forward`` is the graph; its weights are those of the part of ``model``."""
    module: nn.Module = getattr(model, "head" if graph == JUDGE else graph)
    if graph != JUDGE:
        return module
    judge = copy.copy(module)  # shares every weight
    judge.__class__ = type("Judge", (type(module),), {"forward": FlowHead.look_at})
    return judge
