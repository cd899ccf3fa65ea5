"""Train a head from a preset: AdamW, cosine, averaged weights, taken up again after a kill bit for bit.

All chance (batches, dropouts, noise) comes from one numpy generator whose state is saved with the weights, so a run
that was killed and taken up again ends with the same weights as one that was not.  Under ``torchrun`` each process
draws the same batch, takes its share of it, and the gradients are averaged: the result does not depend on their number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neon_ros.act.checkpoint import open_checkpoint
from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.model import NeonModel
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.learn.board import Board
from neon_ros.learn.dataset import Demonstrations, Sentences, draw_batch, instructions_of, load_demonstrations
from neon_ros.learn.export import ExportSpec, export_checkpoint, load_model
from neon_ros.learn.networks import config_of, lend, measure
from neon_ros.learn.objective import add_chance, loss_of, validate
from neon_ros.learn.presets import Preset
from neon_ros.learn.run import PARTS_OF_LOSS, Run, log_row, plot_log, resume_run, save_run
from neon_ros.learn.team import Team

LABEL_DT = 0.02
"""Time between the steps of the demonstrations' chunks [s], that of :mod:`neon_ros.learn.expert`."""
BAD_BATCH_FILE = "bad_batch.npz"

TextEncoder = Callable[[Sequence[str]], Mapping[str, NDArray[np.float32]]]


class TrainingError(NeonError):
    """The loss is no longer finite; the batch that did it has been saved."""


def train(
    preset: Preset,
    data_dir: Path | str,
    out_dir: Path | str,
    *,
    start_from: Path | str | None = None,
    encode_texts: TextEncoder | None = None,
    say: Callable[[str], None] = print,
    stop_at: int | None = None,
) -> Path | None:
    """Train as ``preset`` says on the shards in ``data_dir``; a run found in ``out_dir`` is taken up.

    :param out_dir: gets the state of the run, ``log.csv``, ``loss.png`` and at the end the checkpoint ``<head_id>/``.
    :param start_from: a checkpoint whose weights a fresh run begins with.
    :param encode_texts: the frozen text encoder; by default that of the preset's backbone.
    :param say: takes lines of progress.
    :param stop_at: stop after this step without an end, as a kill would.
    :returns: the folder of the checkpoint, or ``None`` when stopped before the end.
    :raises ContractError: when the demonstrations are broken.
    :raises ConfigError: when ``out_dir`` holds a run of another preset.
    :raises TrainingError: when the loss is no longer finite.
    """
    with Team() as team:
        return _train(preset, Path(data_dir), Path(out_dir), team, start_from, encode_texts, say, stop_at)


def _train(
    preset: Preset,
    data_dir: Path,
    out_dir: Path,
    team: Team,
    start_from: Path | str | None,
    encode_texts: TextEncoder | None,
    say: Callable[[str], None],
    stop_at: int | None,
) -> Path | None:
    """Do what :func:`train` says, as one of a team: all compute, the leader writes and speaks."""
    if not team.leads:
        say = _silent
    out_dir.mkdir(parents=True, exist_ok=True)
    data = load_demonstrations(data_dir)
    say(f"{len(data)} frames of {len(np.unique(data.arrays['episode']))} episodes")
    encode = encode_texts or _text_encoder(preset.backbone)
    cache = None if encode_texts else out_dir.parent
    # The leader encodes and keeps; the others find what it kept.
    sentences = team.in_turn(lambda: Sentences(instructions_of(data), encode, preset.phrasings, preset.seed, cache))
    say(f"{len(sentences.text)} sentences encoded")
    learn, apart = data.split(preset.validation, preset.seed)
    run, lender = _start(preset, data, sentences, learn)
    if start_from is not None:
        _begin_with(run, Path(start_from))
    resume_run(run, preset, out_dir, say, team.leads)
    began, first = time.monotonic(), run.step
    with Board(out_dir if team.leads else None) as board:
        while run.step < preset.steps:
            row = _step(run, preset, data, sentences, learn, out_dir, team)
            run.step += 1
            last = run.step == preset.steps
            if last or run.step % preset.validate_every == 0:
                row.update(validate(run.average, data, sentences, apart, preset))
                if team.leads:
                    log_row(out_dir, row)
                    save_run(run, preset, out_dir)
                team.wait()
                each = (time.monotonic() - began) / (run.step - first)
                say(
                    f"step {run.step}/{preset.steps}  loss {row['loss']:.4f}  val chunk {row['val_chunk']:.4f}  "
                    f"place {row['val_place_mm']:.1f} mm  target {100 * row['val_target']:.1f} %  "
                    f"{each * 1e3:.0f} ms a step, {each * (preset.steps - run.step):.0f} s to go"
                )
            elif run.step % 25 == 0 and team.leads:
                log_row(out_dir, row)
            board.add(row)
            if run.step == stop_at and not last:
                return None
    folder = out_dir / preset.head_id
    if not team.leads:
        return folder
    plot_log(out_dir)
    modalities = tuple(name for name in MODALITIES if name != "lidar" or np.isfinite(data.arrays["points"]).any())
    spec = ExportSpec(
        head_id=preset.head_id,
        task=preset.task,
        mode=preset.mode,
        dt=LABEL_DT,
        model_id=preset.backbone,
        modalities=modalities,
        training={
            "preset": asdict(preset),
            "started_from": None if start_from is None else open_checkpoint(start_from).manifest.checksum,
            "lent_by": lender,
            "frames": len(data),
            "episodes": len(np.unique(data.arrays["episode"])),
            "validation": validate(run.average, data, sentences, apart, preset),
        },
    )
    export_checkpoint(run.average, spec, folder)
    say(f"checkpoint {folder}")
    return folder


def _silent(_: str) -> None:
    """Say nothing."""


def _text_encoder(backbone: str) -> TextEncoder:
    if not backbone.startswith("compact/"):
        raise ConfigError(refuse("preset.backbone", backbone, "compact/… (others need their own stored features)"))
    from neon_ros.encode.backbones.compact import Compact

    compact = Compact()
    if compact.model_id != backbone:
        raise ConfigError(refuse("preset.backbone", backbone, compact.model_id))
    return compact.encode_texts


def _start(
    preset: Preset, data: Demonstrations, sentences: Sentences, learn: NDArray[np.intp]
) -> tuple[Run, str | None]:
    """Return a fresh run whose network knows the means and scales of the data, and the checksum of who lent to it."""
    torch.manual_seed(preset.seed)
    config = config_of(preset, data, sentences)
    model = NeonModel(config)
    measure(model, data, sentences, learn)
    lender = lend(model, preset.start_from).manifest.checksum if preset.start_from else None
    if preset.freeze:
        for weight in model.seeing():
            weight.requires_grad_(False)
    average = NeonModel(config)
    average.load_state_dict(model.state_dict())
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    vectors = [p for p in trained if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": preset.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=preset.learning_rate,
        betas=preset.betas,
    )
    return Run(model, average, optimiser, np.random.default_rng(preset.seed)), lender


def _begin_with(run: Run, folder: Path) -> None:
    """Give a fresh run the weights of a checkpoint, its means and scales with them.

    An ``mlp`` that is to read committed steps may begin with one that does not: what reads them has no effect yet.
    """
    checkpoint = open_checkpoint(folder)
    config = run.model.head.config
    saved = checkpoint.manifest.training.get("network", {})
    grown = config.prefix > 0 and not saved.get("prefix", 0)
    trained = load_model(checkpoint, replace(config, prefix=0) if grown else config).state_dict()
    run.model.load_state_dict(trained, strict=not grown)
    run.average.load_state_dict(run.model.state_dict())


def _step(
    run: Run,
    preset: Preset,
    data: Demonstrations,
    sentences: Sentences,
    learn: NDArray[np.intp],
    out_dir: Path,
    team: Team,
) -> dict[str, float]:
    """Take one optimiser step and return its row of the log."""
    rate = _rate(preset, run.step)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    frames = run.generator.choice(learn, size=preset.frames, replace=len(learn) < preset.frames)
    batch = draw_batch(data, sentences, frames, preset.sentences, run.generator)
    add_chance(batch, preset, run.generator)
    batch = team.share(batch)
    run.optimiser.zero_grad(set_to_none=True)
    parts = loss_of(run.model, batch, preset)
    if not bool(torch.isfinite(parts.total)):
        path = out_dir / BAD_BATCH_FILE
        arrays: dict[str, Any] = {**batch.inputs, **{f"truth_{name}": value for name, value in batch.rows.items()}}
        np.savez(path, **arrays)
        raise TrainingError(refuse(f"loss at step {run.step}", parts.total.item(), f"a finite number; batch in {path}"))
    parts.total.backward()
    team.average_gradients(run.model)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), preset.clip)
    run.optimiser.step()
    decay = min(preset.ema, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for kept, new in zip(run.average.parameters(), run.model.parameters(), strict=True):
            if new.requires_grad:
                kept.lerp_(new, 1.0 - decay)
    row = {"step": float(run.step + 1), "rate": rate, "loss": parts.total.item()}
    row.update({name: getattr(parts, name).item() for name in PARTS_OF_LOSS})
    return row


def _rate(preset: Preset, step: int) -> float:
    """Return the learning rate: a linear rise, then half a cosine down to 1 % of the peak."""
    rise = max(1.0, preset.warm_up * preset.steps)
    if step < rise:
        return preset.learning_rate * (step + 1) / rise
    progress = (step - rise) / max(1.0, preset.steps - rise)
    return preset.learning_rate * float(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))
