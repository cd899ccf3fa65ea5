"""Train a head from a preset: AdamW, cosine, averaged weights, taken up again after a kill bit for bit.

All chance (batches, dropouts, noise) comes from one numpy generator whose state is saved with the weights, so a run that was
killed and taken up again ends with the same weights as one that was not.  A run is one safetensors file, replaced as a whole.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.mlp import MlpConfig, NeonModel
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.learn import losses
from neon_ros.learn.dataset import Batch, Demonstrations, Sentences, draw_batch, instructions_of, load_demonstrations
from neon_ros.learn.export import ExportSpec, export_checkpoint
from neon_ros.learn.presets import Preset
from neon_ros.robot.joints import joint_indices
from neon_ros.robot.modes import control_mode

STATE_FILE = "state.safetensors"
LOG_FILE = "log.csv"
BAD_BATCH_FILE = "bad_batch.npz"
COLUMNS = ("step", "rate", "loss", "chunk", "match", "attention", "place", "val_chunk", "val_place_mm", "val_target")
SCALE_FLOOR = 0.003
"""Least scale of an offset [rad]: a joint that the expert never moves must not be learned to the tenth of a milliradian."""

TextEncoder = Callable[[Sequence[str]], Mapping[str, NDArray[np.float32]]]


class TrainingError(NeonError):
    """The loss is no longer finite; the batch that did it has been saved."""


class Losses(NamedTuple):
    """The parts of the loss of one batch; ``total`` is what is minimised."""

    total: Tensor
    chunk: Tensor
    match: Tensor
    attention: Tensor
    place: Tensor


@dataclass
class Run:
    """Everything that a run needs to go on."""

    model: NeonModel
    average: NeonModel
    optimiser: torch.optim.AdamW
    generator: np.random.Generator
    step: int = 0


def train(
    preset: Preset,
    data_dir: Path | str,
    out_dir: Path | str,
    *,
    encode_texts: TextEncoder | None = None,
    say: Callable[[str], None] = print,
    stop_at: int | None = None,
) -> Path | None:
    """Train as ``preset`` says on the shards in ``data_dir``; a run found in ``out_dir`` is taken up.

    :param out_dir: gets the state of the run, ``log.csv``, ``loss.png`` and at the end the checkpoint ``<head_id>/``.
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
    sentences = Sentences(
        instructions_of(data), encode_texts or _text_encoder(preset.backbone), preset.phrasings, preset.seed
    )
    say(f"{len(sentences.text)} sentences encoded")
    learn, apart = data.split(preset.validation, preset.seed)
    run = _start(preset, data, sentences, learn)
    _resume(run, preset, out_dir, say)
    began, first = time.monotonic(), run.step
    while run.step < preset.steps:
        row = _step(run, preset, data, sentences, learn, out_dir)
        run.step += 1
        last = run.step == preset.steps
        if last or run.step % preset.validate_every == 0:
            row.update(validate(run.average, data, sentences, apart, preset))
            _log(out_dir, row)
            _save(run, preset, out_dir)
            each = (time.monotonic() - began) / (run.step - first)
            say(
                f"step {run.step}/{preset.steps}  loss {row['loss']:.4f}  val chunk {row['val_chunk']:.4f}  "
                f"place {row['val_place_mm']:.1f} mm  target {100 * row['val_target']:.1f} %  "
                f"{each * 1e3:.0f} ms a step, {each * (preset.steps - run.step):.0f} s to go"
            )
        elif run.step % 25 == 0:
            _log(out_dir, row)
        if run.step == stop_at and not last:
            return None
    _plot(out_dir)
    folder = out_dir / preset.head_id
    modalities = tuple(name for name in MODALITIES if name != "lidar" or np.isfinite(data.arrays["points"]).any())
    spec = ExportSpec(
        head_id=preset.head_id,
        task=preset.task,
        mode=preset.mode,
        dt=0.02,
        model_id=preset.backbone,
        modalities=modalities,
        training={
            "preset": asdict(preset),
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
    rows = 8 if tokens % 8 == 0 else 1
    words, text_size = sentences.text.shape[1:]
    config = MlpConfig(columns, data.arrays["chunks"].shape[3], rows, tokens // rows, channels, words, text_size)
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
        np.savez(path, step=run.step, **batch.inputs, **{f"truth_{name}": value for name, value in batch.rows.items()})
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


def add_chance(batch: Batch, preset: Preset, generator: np.random.Generator) -> None:
    """Blank, drop and disturb inputs as the preset says, and draw what is present and how old it is."""
    inputs = batch.inputs
    captures, samples = len(inputs["q"]), len(inputs["text"])
    spread = inputs["vision"].std((0, 1))
    inputs["vision"] += _noise(generator, inputs["vision"].shape) * (preset.vision_noise * spread)
    spread = inputs["text"][:, 1].std(0)
    inputs["text"] += _noise(generator, inputs["text"].shape) * (preset.text_noise * spread)
    inputs["vision"][generator.random(captures) < preset.vision_dropout] = 0.0
    inputs["text_mask"][generator.random(samples) < preset.text_dropout] = 0.0
    chance = np.array([preset.vision_dropout, *[preset.modality_dropout] * 3])
    inputs["present"] = (generator.random((samples, len(MODALITIES))) >= chance).astype(np.float32)
    ages = generator.random((samples, len(MODALITIES)), dtype=np.float32) * np.float32(preset.max_age)
    inputs["age"] = ages * inputs["present"]
    _ablate(inputs, preset)


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return even noise of standard deviation 1, which costs a third of a normal one."""
    return (generator.random(shape, dtype=np.float32) - np.float32(0.5)) * np.float32(12**0.5)


def _ablate(inputs: dict[str, NDArray[Any]], preset: Preset) -> None:
    if preset.ablation == "blind":
        inputs["vision"][:] = 0.0
    elif preset.ablation == "wordless":
        inputs["text"][:] = 0.0
        inputs["text_mask"][:] = 0.0


def loss_of(model: NeonModel, batch: Batch, preset: Preset) -> Losses:
    """Return the losses of one batch."""
    config = model.head.config
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs.items()}
    rows = {name: torch.from_numpy(value) for name, value in batch.rows.items()}
    said = model.predict(inputs, len(inputs["text"]) // len(inputs["q"]))
    here = rows["q"][:, None, list(config.joint_indices)]
    truth = losses.Truth(
        offsets=(rows["chunks"] - here) / model.head.scale,
        place=rows["place"],
        target=rows["target"],
        seen=rows["seen"],
        uv=rows["uv"],
        same=rows["same"],
    )
    chunk = losses.chunk_loss(said, truth)
    zero = torch.zeros(())
    match = attention = place = zero
    if preset.ablation == "none":
        shares = losses.corners(truth.uv, config.rows, config.columns)
        told = inputs["text_mask"].amax(1) * inputs["present"][:, 0]  # nothing to find without words and picture
        looked = inputs["vision"].abs().amax((1, 2)).repeat_interleave(len(told) // len(inputs["q"])) > 0
        truth = losses.Truth(**{**vars(truth), "seen": truth.seen * (told * looked).unsqueeze(1)})
        background = losses.far_from_all(truth.uv, truth.seen, config.rows, config.columns)
        background = background & (told * looked > 0).unsqueeze(1)
        match = losses.match_loss(said.grounded, truth, shares, background)
        attention = losses.attention_loss(said.grounded, truth, shares)
        place = losses.place_loss(said, truth)
    total = (
        chunk
        + 0.1 * losses.base_loss(said)
        + preset.match_weight * match
        + preset.attention_weight * attention
        + preset.place_weight * place
    )
    return Losses(total, chunk, match, attention, place)


@torch.no_grad()
def validate(
    model: NeonModel, data: Demonstrations, sentences: Sentences, frames: NDArray[np.intp], preset: Preset
) -> dict[str, float]:
    """Return how the network does on frames kept apart, with everything present and nothing disturbed.

    ``val_chunk`` is the mean absolute error in units of the labels' spread, ``val_place_mm`` the median error of the
    target's position, ``val_target`` the share of captures whose attention is on the right thing.
    """
    if not len(frames):
        return {"val_chunk": float("nan"), "val_place_mm": float("nan"), "val_target": float("nan")}
    generator = np.random.default_rng(1)
    chunk, place, target = [], [], []
    some = frames[generator.permutation(len(frames))[:512]]
    for start in range(0, len(some), 64):
        batch = draw_batch(data, sentences, some[start : start + 64], 2, generator)
        samples = len(batch.inputs["text"])
        batch.inputs["present"] = np.ones((samples, len(MODALITIES)), dtype=np.float32)
        batch.inputs["age"] = np.zeros((samples, len(MODALITIES)), dtype=np.float32)
        _ablate(batch.inputs, preset)
        said = model.predict({name: torch.from_numpy(value) for name, value in batch.inputs.items()}, 2)
        config = model.head.config
        offsets = (
            batch.rows["chunks"] - batch.rows["q"][:, None, list(config.joint_indices)]
        ) / model.head.scale.numpy()
        chunk.append(np.abs(said.offsets.numpy() - offsets).mean((1, 2)))
        place.append(np.linalg.norm(said.place.numpy() - batch.rows["place"], axis=1))
        shares = losses.corners(torch.from_numpy(batch.rows["uv"]), config.rows, config.columns)
        looked_at = torch.matmul(shares, said.grounded.attention.unsqueeze(-1)).squeeze(-1).argmax(1)
        target.append(looked_at.numpy() == batch.rows["target"])
    return {
        "val_chunk": float(np.concatenate(chunk).mean()),
        "val_place_mm": float(1e3 * np.median(np.concatenate(place))),
        "val_target": float(np.concatenate(target).mean()),
    }


def _save(run: Run, preset: Preset, out_dir: Path) -> None:
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


def _resume(run: Run, preset: Preset, out_dir: Path, say: Callable[[str], None]) -> None:
    """Take up the run saved in ``out_dir``, if there is one."""
    from safetensors import safe_open

    path = out_dir / STATE_FILE
    if not path.exists():
        return
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if json.loads(facts["preset"]) != json.loads(json.dumps(asdict(preset))):
        raise ConfigError(refuse(f"preset of the run in {path}", facts["preset"], json.dumps(asdict(preset))))
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
    if log.exists():  # rows written after the state was saved will be written again
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if float(row["step"]) <= run.step]
        log.unlink()
        for row in rows:
            _log(out_dir, row)
    say(f"taking up {path} at step {run.step}")


def _log(out_dir: Path, row: Mapping[str, Any]) -> None:
    path = out_dir / LOG_FILE
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def _plot(out_dir: Path) -> None:
    """Draw ``loss.png`` from the log."""
    from matplotlib.figure import Figure

    with (out_dir / LOG_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    axes = (figure := Figure(figsize=(7, 4), layout="constrained")).subplots()
    for name in ("chunk", "match", "attention", "place", "val_chunk"):
        points = [(float(row["step"]), float(row[name])) for row in rows if row[name] not in ("", "nan")]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.savefig(out_dir / "loss.png", dpi=120)
