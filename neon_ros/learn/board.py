"""The rows of the log for TensorBoard, where TensorBoard is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

FOLDER = "tensorboard"
EVERY = 25
"""Steps between two entries."""


class Board:
    """Writes rows to ``<out_dir>/tensorboard``, or nowhere.

    :param out_dir: of the run; ``None`` writes nothing.
    """

    def __init__(self, out_dir: Path | None) -> None:
        self._writer: Any = None
        if out_dir is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            return
        self._writer = SummaryWriter(out_dir / FOLDER)

    def __enter__(self) -> Board:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()

    def add(self, row: Mapping[str, float]) -> None:
        """Take one row of the log; rows between validations are thinned."""
        step = int(row["step"])
        if self._writer is None or (step % EVERY and "val_chunk" not in row):
            return
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)
