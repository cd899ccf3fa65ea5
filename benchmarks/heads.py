"""Time every head on one core: ONNX Runtime in float32 and int8 against the same weights in torch eager, in turns.

    python benchmarks/heads.py [--repeats 200] [--head mlp …] [--random]

Batch 1.  ``layer`` is the whole action layer for one capture: three encoders, fusion and head.  Heads are run from the
checkpoints that ship; with --random, or where none ships, from the same network with weights drawn anew.  Joints of the
runtimes are compared as well, so that the table never compares different things.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from backbones import machine

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.exporting import compare, export_whole, random_feed
from neon_ros.act.heads import HEADS, redraw
from neon_ros.act.networks.config import head_config
from neon_ros.act.networks.model import NeonModel
from neon_ros.act.policy import Graph
from neon_ros.act.runtime import Runtime
from neon_ros.graph import shipped_checkpoint
from neon_ros.learn.export import ExportSpec, export_checkpoint
from neon_ros.robot.joints import joint_indices
from neon_ros.robot.modes import MODES

POINTS = 1024
RUNTIMES = ("torch", "fp32", "int8")
Run = Callable[[], object]


class Times(NamedTuple):
    """Seconds of each run of one kind."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        """Return the quantiles."""
        return cls(*(float(value) for value in np.percentile(seconds, [50, 99])))


def opened(name: str, drawn: bool, scratch: Path) -> tuple[Checkpoint, str]:
    """Return the checkpoint of a head, and where its weights come from.

    :param drawn: draw them anew; so are those of a head that ships none.
    :param scratch: where to put the checkpoint of such a head.
    """
    folder = Path(shipped_checkpoint(name) or "none")
    if folder.is_dir():
        checkpoint = open_checkpoint(folder)
        if not drawn:
            return checkpoint, "trained"
        return Checkpoint(folder, checkpoint.manifest, redraw(checkpoint.weights, 0)), "drawn"
    torch.manual_seed(0)
    model = NeonModel(head_config(name, tuple(int(i) for i in joint_indices(MODES["upper_body"].joint_names))))
    with torch.no_grad():
        for value in model.parameters():
            if not value.any():  # layers that begin at zero would hide what is behind them
                value.normal_(0.0, 0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        export_checkpoint(model, ExportSpec(f"drawn_{name}", "touch", "upper_body", 0.02, "drawn/v1"), scratch / name)
    return open_checkpoint(scratch / name), "drawn"


def runs_of(checkpoint: Checkpoint, int8: Checkpoint) -> dict[str, dict[str, Run]]:
    """Return what is timed: by row, then by runtime."""
    generator = np.random.default_rng(0)
    manifest = checkpoint.manifest
    parts = [part for part in ("proprio", "lidar", "eef", "head") if part in manifest.graphs]
    feeds = {part: random_feed(manifest.graphs[part], generator, POINTS) for part in parts}
    feeds["head"]["present"][:] = feeds["head"]["text_mask"][:] = 1.0
    opened = {"torch": (checkpoint, Runtime("torch")), "fp32": (checkpoint, Runtime()), "int8": (int8, Runtime())}
    runs: dict[str, dict[str, Run]] = {"head": {}, "layer": {}}
    for runtime, (source, how) in opened.items():
        graphs = {part: Graph(source, part, how) for part in parts}

        def head(graphs: dict[str, Graph] = graphs) -> object:
            return graphs["head"](feeds["head"])

        def layer(graphs: dict[str, Graph] = graphs) -> object:
            encoded = {part: graphs[part](feeds[part])["features"] for part in parts if part != "head"}
            return graphs["head"]({**feeds["head"], **encoded})

        runs["head"][runtime], runs["layer"][runtime] = head, layer
    return runs


def timed(runs: dict[str, Run], repeats: int) -> dict[str, Times]:
    """Return the times of each run, taken in turns."""
    for run in runs.values():
        for _ in range(5):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: Times.of(values) for name, values in seconds.items()}


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--head", nargs="*", default=[name for name in HEADS if name != "hold"])
    parser.add_argument("--random", action="store_true", help="weights drawn anew")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; batch 1, one thread, {options.repeats} repeats; p50 / p99 [ms]")
    print(f"{'head':<16}{'row':<7}" + "".join(f"{name:>17}" for name in RUNTIMES) + "   torch/fp32  torch/int8")
    different = []
    for name in options.head:
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint, weights = opened(name, options.random, Path(scratch))
            done = export_whole(checkpoint, Path(scratch) / "int8", int8=True, trials=100)
            runs = runs_of(checkpoint, open_checkpoint(Path(scratch) / "int8"))
            apart = compare(checkpoint, checkpoint, 50, other_runtime=Runtime("torch"))[0]
            for row, kinds in runs.items():
                times = timed(kinds, options.repeats)
                cells = "".join(f"{1e3 * times[kind].p50:>9.2f} /{1e3 * times[kind].p99:>6.2f}" for kind in RUNTIMES)
                ratios = [times["torch"].p50 / times[kind].p50 for kind in RUNTIMES[1:]]
                print(f"{name:<16}{row:<7}{cells}{ratios[0]:>12.1f}x{ratios[1]:>10.1f}x", flush=True)
            count = sum(checkpoint.manifest.parameters.values())
            different.append(
                f"{name}: {count / 1e6:.2f} M values, {weights}; torch differs by at most {1e3 * apart:.4f} mrad,"
                f" int8 by {1e3 * done.mean:.2f} in the mean and at most {1e3 * done.largest:.1f} mrad"
            )
    print("\n".join(different))
    return 0


if __name__ == "__main__":
    sys.exit(main())
