"""The state of a training run on disk: one safetensors file, replaced as a whole, beside a log and its plot."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neon_ros.act.networks.model import NeonModel
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.learn.presets import Preset

STATE_FILE = "state.safetensors"
LOG_FILE = "log.csv"
PARTS_OF_LOSS = ("chunk", "match", "attention", "place", "balance")
COLUMNS = ("step", "rate", "loss", *PARTS_OF_LOSS, "val_chunk", "val_place_mm", "val_target")


@dataclass
class Run:
    """Everything that a run needs to go on."""

    model: NeonModel
    average: NeonModel
    optimiser: torch.optim.AdamW
    generator: np.random.Generator
    step: int = 0


def save_run(run: Run, preset: Preset, out_dir: Path) -> None:
    """Write the run as one file, whole or not at all."""
    from safetensors.torch import save

    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in run.average.state_dict().items()}
    for index, state in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    facts = {
        "step": str(run.step),
        "preset": json.dumps(asdict(preset)),
        "generator": json.dumps(run.generator.bit_generator.state),
    }
    scratch = out_dir / f".{STATE_FILE}.part"
    with scratch.open("wb") as file:
        file.write(save({name: value.contiguous() for name, value in tensors.items()}, facts))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(out_dir / STATE_FILE)


def resume_run(run: Run, preset: Preset, out_dir: Path, say: Callable[[str], None], mend_log: bool = True) -> None:
    """Take up the run saved in ``out_dir``, if there is one.

    :param mend_log: whether to drop the rows of ``log.csv`` that will be written again.
    """
    from safetensors import SafetensorError, safe_open

    path = out_dir / STATE_FILE
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise CheckpointError(refuse(f"saved run {path}", str(error), "a whole run, or none")) from error
    saved, asked = json.loads(facts["preset"]), json.loads(json.dumps(asdict(preset)))
    other = {name: saved.get(name) for name in asked if saved.get(name) != asked[name]}
    if other:
        allowed = f"{ {name: asked[name] for name in other} }, or an empty folder"
        raise ConfigError(refuse(f"preset of the run in {path}", other, allowed))
    for network, name in ((run.model, "model."), (run.average, "average.")):
        network.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            states.setdefault(int(index), {})[name] = value
    run.optimiser.load_state_dict({"state": states, "param_groups": run.optimiser.state_dict()["param_groups"]})
    run.generator.bit_generator.state = json.loads(facts["generator"])
    run.step = int(facts["step"])
    log = out_dir / LOG_FILE
    if mend_log and log.exists():  # rows written after the state was saved will be written again
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if float(row["step"]) <= run.step]
        log.unlink()
        for row in rows:
            log_row(out_dir, row)
    say(f"taking up {path} at step {run.step}")


def log_row(out_dir: Path, row: Mapping[str, Any]) -> None:
    """Append one row to ``log.csv``."""
    path = out_dir / LOG_FILE
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def plot_log(out_dir: Path) -> None:
    """Draw ``loss.png`` from the log."""
    from matplotlib.figure import Figure

    with (out_dir / LOG_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    axes = (figure := Figure(figsize=(7, 4), layout="constrained")).subplots()
    for name in (*PARTS_OF_LOSS, "val_chunk"):
        points = [(float(row["step"]), float(row[name])) for row in rows if row[name] not in ("", "nan", "0.0")]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.savefig(out_dir / "loss.png", dpi=120)
