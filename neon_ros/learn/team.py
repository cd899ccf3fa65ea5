"""Several processes, one run: what ``torchrun`` started shares each batch and averages the gradients.

Every process draws the whole batch from the same generator and computes its own captures, so the number of processes
changes the speed and not what is learned.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import torch
from torch import distributed, nn

from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.dataset import Batch

T = TypeVar("T")


class Team:
    """This process among those of ``torchrun``; alone without it."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def __enter__(self) -> Team:
        """Meet the others."""
        if self.size > 1:
            distributed.init_process_group("gloo")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Part."""
        if self.size > 1:
            distributed.destroy_process_group()

    def in_turn(self, make: Callable[[], T]) -> T:
        """Return what ``make`` makes, the leader first and the others when it is done."""
        if self.leads:
            made = make()
            self.wait()
            return made
        self.wait()
        return make()

    def wait(self) -> None:
        """Wait for the others, so that nobody reads what the leader has half written."""
        if self.size > 1:
            distributed.barrier()

    def share(self, batch: Batch) -> Batch:
        """Return this process's captures of a batch, each with all of its sentences.

        :raises ConfigError: when the captures cannot be shared evenly.
        """
        captures, samples = len(batch.inputs["q"]), len(batch.inputs["text"])
        if captures % self.size:
            raise ConfigError(refuse("preset.frames", captures, f"a multiple of the {self.size} processes"))
        if self.size == 1:
            return batch
        mine = slice(self.rank * captures // self.size, (self.rank + 1) * captures // self.size)
        each = samples // captures
        rows = slice(mine.start * each, mine.stop * each)
        per_sample = ("text", "text_mask", "present", "age")
        return Batch(
            {name: value[rows if name in per_sample else mine] for name, value in batch.inputs.items()},
            {name: value[rows] for name, value in batch.rows.items()},
        )

    def average_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by the mean of all processes'."""
        if self.size == 1:
            return
        for weight in model.parameters():
            if weight.requires_grad:
                gradient = weight.grad if weight.grad is not None else torch.zeros_like(weight)
                distributed.all_reduce(gradient)
                weight.grad = gradient / self.size
