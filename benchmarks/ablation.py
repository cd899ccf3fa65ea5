"""What each refinement of the heads' layers is worth: train with all of them, then leave out one at a time.

    python benchmarks/ablation.py --data demos [--head state_relative …] [--steps 500] [--seeds 2]

Every run has the same demonstrations, batches, noise and rate, on the same lent and frozen eyes; only the head's layers
differ.  What is compared is the error of chunks on episodes kept apart (mean absolute, in units of the labels' spread),
the mean over the seeds, and the difference to the head with all refinements.  A head trained for longer gains less.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from backbones import machine

from neon_ros.learn.presets import REFINEMENTS, Preset, load_preset
from neon_ros.learn.trainer import train

TAUGHT = ("flow_matching", "dit", "state_relative", "ensemble")


def error_of(preset: Preset, data: Path, kept: Path) -> float:
    """Return the error on episodes kept apart after the last step of a run.

    :param kept: folder that keeps the encoded sentences from one run to the next.
    """
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        train(preset, data, folder, say=lambda _: None)
        with (Path(folder) / "log.csv").open(encoding="utf-8") as log:
            return float(list(csv.DictReader(log))[-1]["val_chunk"])


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of demonstrations of `touch`")
    parser.add_argument("--head", nargs="*", default=["state_relative"], choices=TAUGHT)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; {options.steps} steps, {options.seeds} seeds; error on episodes kept apart")
    print(f"{'head':<16}{'without':<16}{'error':>9}{'of each seed':>22}{'difference':>12}")
    with tempfile.TemporaryDirectory() as scratch:
        for head in options.head:
            whole = float("nan")
            for left_out in ("", *REFINEMENTS):
                changes = {"steps": options.steps, "validate_every": options.steps, "ema": 0.99}
                preset = replace(load_preset(f"touch_{head}"), **changes, without=(left_out,) if left_out else ())
                each = [
                    error_of(replace(preset, seed=seed), options.data, Path(scratch)) for seed in range(options.seeds)
                ]
                mean = float(np.mean(each))
                whole = whole if left_out else mean
                seeds = " ".join(f"{value:.4f}" for value in each)
                gained = f"{100 * (mean / whole - 1):+.1f} %" if left_out else "-"
                print(f"{head:<16}{left_out or 'nothing':<16}{mean:>9.4f}{seeds:>22}{gained:>12}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
