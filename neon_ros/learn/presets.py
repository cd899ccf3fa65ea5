"""Presets: everything that decides a training run, read from one YAML file into one frozen dataclass."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from neon_ros.act.heads import TRAINED
from neon_ros.errors import ConfigError, refuse
from neon_ros.resources import share
from neon_ros.robot.modes import control_mode

FOLDER = "config/presets"
REFINEMENTS: tuple[str, ...] = ("relu2", "rms_norm", "residual_scale", "skips", "cap")
PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "auto")
ABLATIONS: tuple[str, ...] = ("none", "blind", "wordless")


@dataclass(frozen=True)
class Preset:
    """One training run.

    :param head_id: name of the checkpoint it makes.
    :param head: kind of head.
    :param task: what is learned.
    :param mode: control mode.
    :param backbone: model id of the frozen features.
    :param grid: rows and columns of the backbone's picture tokens.
    :param steps: optimiser steps.
    :param frames: captures per step.
    :param sentences: instructions per capture and step; the labels of all are in the data.
    :param learning_rate: peak of the cosine.
    :param warm_up: share of the steps in which the rate rises.
    :param weight_decay: of AdamW, on matrices only.
    :param betas: of AdamW.
    :param clip: largest norm of the gradient.
    :param ema: decay of the averaged weights, which are the ones exported.
    :param phrasings: sentences per instruction whose words are encoded once before training.
    :param modality_dropout: chance per sample that LiDAR, proprio or hands are absent (each).
    :param vision_dropout: chance per capture that the picture is blank.
    :param text_dropout: chance per sample that there are no words.
    :param text_noise: standard deviation added to each value of a word, in its own standard deviations.
    :param vision_noise: the same for picture tokens.
    :param max_age: ages are drawn from 0 to this [s].
    :param match_weight: loss of the two *what* slots.
    :param attention_weight: loss of the place that is attended.
    :param place_weight: loss of the target's position.
    :param validation: share of the episodes kept apart.
    :param validate_every: steps between validations, which are also the moments a run can be taken up from.
    :param ablation: ``none``, or a baseline: ``blind`` never sees, ``wordless`` never hears.
    :param seed: of weights, batches and dropouts.
    :param width: of the head's trunk; 0 for its shipped size, as for the next three.
    :param blocks: of the trunk.
    :param hidden: width inside a block.
    :param denoising: steps from noise to a chunk, for heads that have such.
    :param solver: how these steps are taken; empty for Euler's.
    :param without: refinements to leave out, some of :data:`REFINEMENTS`: what each is worth.
    :param committed: the first 0 to this many steps of a chunk are given in training, as they are when the robot is
        already on its way (training-time real-time chunking).
    :param committed_noise: standard deviation of how far a given step is from the expert's [rad]; the steps behind
        lead back to the expert's within :data:`~neon_ros.learn.objective.RETURN` steps, so that the head learns to
        mend what is committed, not to prolong it.
    :param precision: of the matrices' products: ``fp32``, ``bf16``, or ``auto`` for bf16 where the processor has it.
    :param start_from: head whose shipped checkpoint lends its encoders and fusion, or a checkpoint's folder.
    :param freeze: whether what was lent stays as it is; what it says is then judged no more.
    """

    head_id: str
    head: str
    task: str
    mode: str
    backbone: str
    grid: tuple[int, int]
    steps: int
    frames: int
    sentences: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    betas: tuple[float, float]
    clip: float
    ema: float
    phrasings: int
    modality_dropout: float
    vision_dropout: float
    text_dropout: float
    text_noise: float
    vision_noise: float
    max_age: float
    match_weight: float
    attention_weight: float
    place_weight: float
    validation: float
    validate_every: int
    ablation: str = "none"
    seed: int = 0
    width: int = 0
    blocks: int = 0
    hidden: int = 0
    denoising: int = 0
    solver: str = ""
    without: tuple[str, ...] = ()
    committed: int = 0
    committed_noise: float = 0.0
    precision: str = "fp32"
    start_from: str = ""
    freeze: bool = False

    def __post_init__(self) -> None:
        control_mode(self.mode)
        for name, known in (
            ("head", TRAINED),
            ("ablation", ABLATIONS),
            ("solver", ("", "euler", "midpoint")),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(refuse(f"preset.{name}", getattr(self, name), ", ".join(known)))
        for name in ("steps", "frames", "sentences", "phrasings", "validate_every"):
            self._within(name, 1, 10_000_000)
        self._within("sentences", 1, 6)
        for name, most in (("width", 4096), ("blocks", 64), ("hidden", 8192), ("denoising", 10), ("committed", 255)):
            self._within(name, 0, most)
        strange = [name for name in self.without if name not in REFINEMENTS]
        if strange:
            raise ConfigError(refuse("preset.without", strange, ", ".join(REFINEMENTS)))
        if self.freeze and not self.start_from:
            raise ConfigError(refuse("preset.freeze", "true without start_from", "something lent that can be frozen"))
        for name in ("warm_up", "modality_dropout", "vision_dropout", "text_dropout", "validation"):
            self._within(name, 0.0, 0.9)
        self._within("ema", 0.0, 0.99999)
        self._within("committed_noise", 0.0, 0.5)
        self._within("learning_rate", 1e-7, 0.1)
        self._within("clip", 1e-3, 100.0)
        for name in (
            "weight_decay",
            "text_noise",
            "vision_noise",
            "max_age",
            "match_weight",
            "attention_weight",
            "place_weight",
        ):
            self._within(name, 0.0, 10.0)
        if len(self.grid) != 2 or min(self.grid) < 1:
            raise ConfigError(refuse("preset.grid", self.grid, "rows and columns, each 1 or more"))
        if len(self.betas) != 2 or not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ConfigError(refuse("preset.betas", self.betas, "two numbers from 0 to below 1"))

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ConfigError(refuse(f"preset.{name}", value, f"{low} to {high}"))


def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped presets."""
    return tuple(sorted(path.stem for path in share(FOLDER).glob("*.yaml")))


def load_preset(name: str | Path) -> Preset:
    """Return the shipped preset of that name, or the one in a file ending in ``.yaml``.

    :raises ConfigError: when there is none, a key is unknown or missing, or a value has the wrong type or size.
    """
    if str(name).endswith(".yaml"):
        path = Path(name)
    elif str(name) in preset_names():
        path = share(f"{FOLDER}/{name}.yaml")
    else:
        raise ConfigError(refuse("preset", name, ", ".join(preset_names())))
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(refuse(f"preset {path}", error.strerror, "a readable file")) from error
    except yaml.YAMLError as error:
        raise ConfigError(refuse(f"preset {path}", f"broken YAML ({error})", "key: value lines")) from error
    return parse_preset(raw, str(path))


def parse_preset(raw: object, where: str) -> Preset:
    """Return the preset that ``raw``, a mapping, describes.

    :param where: path for the error.
    :raises ConfigError: see :func:`load_preset`.
    """
    if not isinstance(raw, dict):
        raise ConfigError(refuse(f"preset {where}", type(raw).__name__, "a mapping of keys to values"))
    known = {item.name: item for item in fields(Preset)}
    unknown = [key for key in raw if key not in known]
    if unknown:
        raise ConfigError(refuse(f"keys of preset {where}", f"unknown {unknown}", ", ".join(known)))
    missing = [name for name, item in known.items() if name not in raw and item.default is MISSING]
    if missing:
        raise ConfigError(refuse(f"keys of preset {where}", f"no {missing}", ", ".join(known)))
    values = {
        name: _typed(str(item.type), raw[name], f"{where}: {name}") for name, item in known.items() if name in raw
    }
    return Preset(**values)


def _typed(kind: str, value: object, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int" and number and isinstance(value, int):
        return value
    if kind == "float" and number:
        return float(value)  # type: ignore[arg-type]
    if (kind == "str" and isinstance(value, str)) or (kind == "bool" and isinstance(value, bool)):
        return value
    if kind.startswith("tuple") and isinstance(value, list):
        each = next(name for name in ("int", "float", "str") if name in kind)
        return tuple(_typed(each, item, where) for item in value)
    raise ConfigError(refuse(where, f"{value!r} ({type(value).__name__})", kind))
