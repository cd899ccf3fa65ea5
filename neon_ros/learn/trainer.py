"""Train a head from a preset: AdamW, cosine, averaged weights, taken up again after a kill bit for bit.

All chance (batches, dropouts, noise) comes from one numpy generator whose state is saved with the weights, so a run
that was killed and taken up again ends with the same weights as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neon_ros.act.checkpoint import open_checkpoint
from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.mlp import MlpConfig, NeonModel
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.learn.dataset import Demonstrations, Sentences, draw_batch, instructions_of, load_demonstrations
from neon_ros.learn.export import ExportSpec, export_checkpoint, load_model
from neon_ros.learn.objective import add_chance, loss_of, validate
from neon_ros.learn.presets import Preset
from neon_ros.learn.run import Run, log_row, plot_log, resume_run, save_run
from neon_ros.robot.joints import joint_indices
from neon_ros.robot.modes import control_mode

LABEL_DT = 0.02
"""Time between the steps of the demonstrations' chunks [s], that of :mod:`neon_ros.learn.expert`."""
BAD_BATCH_FILE = "bad_batch.npz"
SCALE_FLOOR = 0.003
"""Least scale of an offset [rad]: what the expert never moves must not be learned to the tenth of a milliradian."""

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
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    data = load_demonstrations(Path(data_dir))
    say(f"{len(data)} frames of {len(np.unique(data.arrays['episode']))} episodes")
    encode = encode_texts or _text_encoder(preset.backbone)
    cache = None if encode_texts else out_dir.parent
    sentences = Sentences(instructions_of(data), encode, preset.phrasings, preset.seed, cache)
    say(f"{len(sentences.text)} sentences encoded")
    learn, apart = data.split(preset.validation, preset.seed)
    run = _start(preset, data, sentences, learn)
    if start_from is not None:
        _begin_with(run, Path(start_from))
    resume_run(run, preset, out_dir, say)
    began, first = time.monotonic(), run.step
    while run.step < preset.steps:
        row = _step(run, preset, data, sentences, learn, out_dir)
        run.step += 1
        last = run.step == preset.steps
        if last or run.step % preset.validate_every == 0:
            row.update(validate(run.average, data, sentences, apart, preset))
            log_row(out_dir, row)
            save_run(run, preset, out_dir)
            each = (time.monotonic() - began) / (run.step - first)
            say(
                f"step {run.step}/{preset.steps}  loss {row['loss']:.4f}  val chunk {row['val_chunk']:.4f}  "
                f"place {row['val_place_mm']:.1f} mm  target {100 * row['val_target']:.1f} %  "
                f"{each * 1e3:.0f} ms a step, {each * (preset.steps - run.step):.0f} s to go"
            )
        elif run.step % 25 == 0:
            log_row(out_dir, row)
        if run.step == stop_at and not last:
            return None
    plot_log(out_dir)
    folder = out_dir / preset.head_id
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
            "frames": len(data),
            "episodes": len(np.unique(data.arrays["episode"])),
            "validation": validate(run.average, data, sentences, apart, preset),
        },
    )
    export_checkpoint(run.average, spec, folder)
    say(f"checkpoint {folder}")
    return folder


def _text_encoder(backbone: str) -> TextEncoder:
    if not backbone.startswith("compact/"):
        raise ConfigError(refuse("preset.backbone", backbone, "compact/… (others need their own stored features)"))
    from neon_ros.encode.backbones.compact import Compact

    compact = Compact()
    if compact.model_id != backbone:
        raise ConfigError(refuse("preset.backbone", backbone, compact.model_id))
    return compact.encode_texts


def _start(preset: Preset, data: Demonstrations, sentences: Sentences, learn: NDArray[np.intp]) -> Run:
    """Return a fresh run whose network knows the means and scales of the data."""
    torch.manual_seed(preset.seed)
    columns = tuple(int(i) for i in joint_indices(control_mode(preset.mode).joint_names))
    tokens, channels = data.arrays["vision"].shape[1:]
    if preset.grid[0] * preset.grid[1] != tokens:
        raise ConfigError(refuse("preset.grid", preset.grid, f"rows x columns of the {tokens} tokens in the data"))
    words, text_size = sentences.text.shape[1:]
    config = MlpConfig(columns, data.arrays["chunks"].shape[3], *preset.grid, channels, words, text_size)
    model = NeonModel(config)
    _measure(model, data, sentences, learn)
    average = NeonModel(config)
    average.load_state_dict(model.state_dict())
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": preset.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=preset.learning_rate,
        betas=preset.betas,
    )
    return Run(model, average, optimiser, np.random.default_rng(preset.seed))


def _begin_with(run: Run, folder: Path) -> None:
    """Give a fresh run the weights of a checkpoint, its means and scales with them."""
    trained = load_model(open_checkpoint(folder), run.model.head.config).state_dict()
    run.model.load_state_dict(trained)
    run.average.load_state_dict(trained)


@torch.no_grad()
def _measure(model: NeonModel, data: Demonstrations, sentences: Sentences, learn: NDArray[np.intp]) -> None:
    """Set the means and scales that travel with the network."""
    some = learn[:: max(1, len(learn) // 2000)]
    vision = data.arrays["vision"][some].astype(np.float32)
    grounding = model.head.grounding
    grounding.vision_mean.copy_(torch.from_numpy(vision.mean((0, 1))))
    grounding.vision_std.copy_(torch.from_numpy(vision.std((0, 1)) + 1e-3))
    words = sentences.text[sentences.mask > 0].astype(np.float32)
    grounding.words.text_mean.copy_(torch.from_numpy(words.mean(0)))
    grounding.words.text_std.copy_(torch.from_numpy(words.std(0) + 1e-3))
    q = data.arrays["q"][some][:, None, None, None, list(model.head.config.joint_indices)]
    offsets = (data.arrays["chunks"][some] - q).reshape(-1, *model.head.scale.shape)
    model.head.scale.copy_(torch.from_numpy(np.maximum(offsets.std(0), SCALE_FLOOR).astype(np.float32)))


def _step(
    run: Run, preset: Preset, data: Demonstrations, sentences: Sentences, learn: NDArray[np.intp], out_dir: Path
) -> dict[str, float]:
    """Take one optimiser step and return its row of the log."""
    rate = _rate(preset, run.step)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    frames = run.generator.choice(learn, size=preset.frames, replace=len(learn) < preset.frames)
    batch = draw_batch(data, sentences, frames, preset.sentences, run.generator)
    add_chance(batch, preset, run.generator)
    run.optimiser.zero_grad(set_to_none=True)
    parts = loss_of(run.model, batch, preset)
    if not bool(torch.isfinite(parts.total)):
        path = out_dir / BAD_BATCH_FILE
        arrays: dict[str, Any] = {**batch.inputs, **{f"truth_{name}": value for name, value in batch.rows.items()}}
        np.savez(path, **arrays)
        raise TrainingError(refuse(f"loss at step {run.step}", parts.total.item(), f"a finite number; batch in {path}"))
    parts.total.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), preset.clip)
    run.optimiser.step()
    decay = min(preset.ema, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for kept, new in zip(run.average.parameters(), run.model.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)
    row = {"step": float(run.step + 1), "rate": rate, "loss": parts.total.item()}
    row.update({name: getattr(parts, name).item() for name in ("chunk", "match", "attention", "place")})
    return row


def _rate(preset: Preset, step: int) -> float:
    """Return the learning rate: a linear rise, then half a cosine down to 1 % of the peak."""
    rise = max(1.0, preset.warm_up * preset.steps)
    if step < rise:
        return preset.learning_rate * (step + 1) / rise
    progress = (step - rise) / max(1.0, preset.steps - rise)
    return preset.learning_rate * float(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))
