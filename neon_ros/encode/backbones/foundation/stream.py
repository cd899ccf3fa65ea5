"""Read a growing window with a causal language model, each token once.

A causal model's state after a token depends on nothing that follows.  So whatever begins as the window before is kept,
and only what comes after the first difference is read: a new picture costs its own tokens.  The result is that of
reading the whole window at once, for any sequence of windows; how the windows grow decides only what it costs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """Tokens that are read together.

    :param role: ``template`` for the chat's structure, or what they are: ``text``, ``vision``, ``audio``.
    :param key: equal for segments that hold the same tokens; the positions are compared by themselves.
    :param positions: long (3, T), the model's positions in time, height and width.
    :param embed: returns the tokens (T, D) and what is added to them in the first layers (each (T, D)); called only
        when the segment is read.
    """

    role: str
    key: Hashable
    positions: Tensor
    embed: Callable[[], tuple[Tensor, Sequence[Tensor]]]

    def same(self, other: Segment) -> bool:
        """Return whether the other stands for the same tokens at the same positions."""
        return (self.role, self.key) == (other.role, other.key) and torch.equal(self.positions, other.positions)


class PrefixReader:
    """One window of a causal language model, with the memory of what of it was read.

    :param language: a text model of ``transformers`` that takes ``inputs_embeds`` and ``past_key_values``.
    """

    def __init__(self, language: Any) -> None:
        self._language = language
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._segments: list[Segment] = []
        self._states: list[Tensor] = []
        self._cache: Any = None

    def shared(self, segments: Sequence[Segment]) -> int:
        """Return how many segments at the start are already read."""
        count = 0
        for mine, wanted in zip(self._segments, segments, strict=False):
            if not mine.same(wanted):
                break
            count += 1
        return count

    def branch(self, segments: Sequence[Segment]) -> PrefixReader:
        """Return the reader of another window; what it begins with as this one is copied, not read again."""
        other = PrefixReader(self._language)
        kept = self.shared(segments)
        if kept:
            other._cache = copy.deepcopy(self._cache)
            surplus = sum(len(state) for state in self._states[kept:])
            if surplus:
                other._cache.crop(-surplus)
            other._segments, other._states = self._segments[:kept], self._states[:kept]
        return other

    @torch.no_grad()
    def read(self, segments: Sequence[Segment]) -> list[Tensor]:
        """Return the states (T, D) of each segment of the window, reading only what follows the first difference."""
        kept = self.shared(segments)
        fresh = segments[kept:]
        if not fresh:
            return self._states[: len(segments)]
        surplus = sum(len(state) for state in self._states[kept:])
        if kept == 0 or self._cache is None:
            self._cache = self._new_cache()
        elif surplus:
            self._cache.crop(-surplus)  # a negative number is understood alike by all versions
        self._segments, self._states = self._segments[:kept], self._states[:kept]
        embedded = [segment.embed() for segment in fresh]
        tokens = torch.cat([tokens for tokens, _ in embedded])  # (T, D)
        positions = torch.cat([segment.positions for segment in fresh], dim=1).to(tokens.device)  # (3, T)
        try:
            states = self._language(
                inputs_embeds=tokens[None],
                position_ids=positions[:, None],
                past_key_values=self._cache,
                use_cache=True,
                **_added(embedded),
            ).last_hidden_state[0]
        except BaseException:
            self.clear()  # a half-written memory must not be read again
            raise
        lengths = [len(tokens) for tokens, _ in embedded]
        self._segments.extend(fresh)
        self._states.extend(torch.split(states, lengths))
        return list(self._states)

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._language.config)


def _added(embedded: Sequence[tuple[Tensor, Sequence[Tensor]]]) -> dict[str, Any]:
    """Return what Qwen3-VL adds to its pictures in the first layers (DeepStack, arXiv:2406.04334)."""
    deep = [added for _, added in embedded if added]
    if not deep:
        return {}
    seen = [torch.full((len(tokens),), bool(added), device=tokens.device) for tokens, added in embedded]
    return {
        "visual_pos_masks": torch.cat(seen)[None],
        "deepstack_visual_embeds": [torch.cat(layer) for layer in zip(*deep, strict=True)],
    }
