"""The frozen backbones by name: those of this package and those that other packages register.

Another package adds one by an entry point of the group ``neon_ros.backbones`` whose value is a class or function that
returns a :class:`~neon_ros.encode.backbones.base.Backbone`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from neon_ros.encode.backbones.base import Backbone, WindowBackbone
from neon_ros.encode.backbones.memory import MemoryShort, within_memory
from neon_ros.errors import ConfigError, refuse

__all__ = ["Backbone", "MemoryShort", "WindowBackbone", "known", "load", "within_memory"]

ENTRY_POINTS = "neon_ros.backbones"
_HERE = "neon_ros.encode.backbones"
_OURS = {
    "compact": f"{_HERE}.compact:Compact",
    "cosmos_reason": f"{_HERE}.foundation.cosmos_reason:CosmosReason",
    "qwen_omni": f"{_HERE}.foundation.qwen_omni:QwenOmni",
    "tribe_v2": f"{_HERE}.foundation.tribe_v2:TribeV2",
}


def known() -> tuple[str, ...]:
    """Return the names that :func:`load` understands."""
    return tuple(sorted({*_OURS, *entry_points(group=ENTRY_POINTS).names}))


def load(name: str, progress: Callable[[str], None] | None = None, **options: Any) -> Backbone:
    """Return the backbone called ``name``, ready to encode.

    :param name: one of :func:`known`; a name of this package wins over an entry point's.
    :param progress: told what is being done, in a few words, where the backbone has an argument ``progress``.
    :param options: passed to the backbone, e.g. ``threads=1``.
    :raises ConfigError: on an unknown name or option, or when what was registered is not a backbone.
    :raises CheckpointError: when its weights are missing or altered.
    :raises MemoryShort: when it does not fit into memory.
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        factory = getattr(import_module(module), attribute)
    else:
        registered = entry_points(group=ENTRY_POINTS)
        if name not in registered.names:
            raise ConfigError(refuse("backbone", name, ", ".join(known())))
        factory = registered[name].load()
    accepted = inspect.signature(factory).parameters
    known_options = [option for option in accepted if option != "progress"]
    unknown = sorted(set(options) - set(accepted))
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        raise ConfigError(refuse(f"options of backbone {name}", unknown, ", ".join(known_options) or "none"))
    if progress is not None and "progress" in accepted:
        options["progress"] = progress
    with within_memory(name):
        backbone = factory(**options)
    if not isinstance(backbone, Backbone):
        raise ConfigError(refuse(f"backbone {name}", type(backbone).__name__, "an object with the methods of Backbone"))
    return backbone
