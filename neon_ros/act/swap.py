"""Put one head in another's place at run time: which one is meant, is it fit, and does it get all that it needs.

A head reads features of its own encoders only, so a head that is about to take over has a seat beside the one in use:
its encoders work for it before it acts.  Nothing here waits, and nothing knows ROS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neon_ros.act.heads import Head, load_head
from neon_ros.act.manifest import JUDGE, Manifest
from neon_ros.act.moment import ENCODERS, Collector, addressed, part_id
from neon_ros.act.runtime import DEFAULT, Runtime
from neon_ros.act.speculative import load_speculative
from neon_ros.contracts import Features
from neon_ros.errors import CheckpointError, ContractError, refuse
from neon_ros.robot.joints import NUM_JOINTS, joint_indices

_UPRIGHT = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class HeadChoice:
    """Which head is meant.

    :param head: its name, see :data:`neon_ros.act.heads.HEADS`.
    :param checkpoint: its folder; empty for a head without weights.
    :param mode: control mode.
    :param checksum: sha256 (hex) of its weights as they were found; empty before they were read.
    """

    head: str
    checkpoint: str
    mode: str
    checksum: str = ""

    @property
    def words(self) -> str:
        """How it is called in a log."""
        return f"{self.head} ({self.checkpoint})" if self.checkpoint else self.head


@dataclass(frozen=True)
class Draft:
    """Which head drafts for those that can judge a draft.

    :param checkpoint: its folder.
    :param tolerance: largest displacement of a draft that is accepted [rad].
    """

    checkpoint: str
    tolerance: float


def open_choice(choice: HeadChoice, runtime: Runtime = DEFAULT, draft: Draft | None = None) -> Head:
    """Load the head of a choice.

    :param runtime: what runs it.
    :param draft: who drafts for it, if it can judge.
    :raises NeonError: when it cannot be used, or its weights are other ones than the choice says.
    """
    head = load_head(choice.head, choice.checkpoint or None, mode=choice.mode, runtime=runtime)
    if draft is not None and JUDGE in head.manifest.graphs:
        head = load_speculative(draft.checkpoint, choice.checkpoint, draft.tolerance, mode=choice.mode, runtime=runtime)
    if choice.checksum not in ("", head.manifest.checksum):
        allowed = f"{choice.checksum[:16]}…, the head in use"
        raise CheckpointError(refuse(f"checksum of {choice.words}", f"{head.manifest.checksum[:16]}…", allowed))
    return head


def check_backbone(manifest: Manifest, model_id: str) -> None:
    """Refuse a head that was trained on another backbone than the one at hand.

    :param model_id: of the backbone at hand; empty when any will do.
    :raises CheckpointError: naming both.
    """
    if model_id and manifest.backbone.tensors and manifest.backbone.model_id != model_id:
        allowed = f"{manifest.backbone.model_id}, which it was trained on"
        raise CheckpointError(refuse(f"backbone for head {manifest.head_id}", model_id, allowed))


class Seat:
    """A head with the features it is given.

    :param head: made by :func:`open_choice`.
    :param max_age: features further from the capture than this are absent [s].
    """

    def __init__(self, choice: HeadChoice, head: Head, max_age: float) -> None:
        self.head, self.manifest = head, head.manifest
        self.model_id = part_id(head.manifest)
        self.choice = HeadChoice(choice.head, choice.checkpoint, choice.mode, head.manifest.checksum)
        self.columns = joint_indices(self.manifest.joint_names)
        self.reads_backbone = bool(self.manifest.backbone.tensors)
        self._model_ids = dict.fromkeys(ENCODERS, self.model_id)
        if self.reads_backbone:
            self._model_ids["backbone"] = self.manifest.backbone.model_id
        self.collector = Collector(max_age, self._model_ids)

    def add(self, features: Features) -> None:
        """Remember features.

        :raises ContractError: when they were made for another head, or by a backbone it was not trained on.
        """
        if features.source == "backbone" and not self.reads_backbone:
            return
        self.collector.add(addressed(features, self.model_id))

    def offer(self, features: Features) -> None:
        """Remember features if they are for this head; those of its rival are no fault.

        :raises ContractError: when they are of a backbone it was not trained on.
        """
        if features.source == "backbone" and not self.reads_backbone:
            return
        mine = addressed(features, self.model_id)
        if features.source == "backbone" or mine.model_id == self._model_ids[features.source]:
            self.collector.add(mine)

    def lacks(self, present: Iterable[str], needs_backbone: bool) -> list[str]:
        """Return what it must still hear before it can stand in for a head that acts on ``present``.

        :param needs_backbone: whether a head that reads the backbone may not act without.
        """
        needed = {*present, "proprio"} - {"backbone"}
        if self.reads_backbone and (needs_backbone or "backbone" in present):
            needed.add("backbone")
        stamp_ns = self.collector.newest_ns("backbone" if "backbone" in needed else "proprio")
        there = set() if stamp_ns is None else set(self.collector.at(stamp_ns).features)
        return sorted(needed - there)


def check_fit(manifest: Manifest, place_of: Manifest, dt: tuple[float, float], horizon: tuple[int, int]) -> None:
    """Refuse a head that cannot take the place of another.

    :param manifest: of the head.
    :param place_of: manifest of the head in use.
    :param dt: shortest and longest step that the robot's side admits [s].
    :param horizon: fewest and most steps that it admits.
    :raises CheckpointError: naming what does not fit.
    """
    for what, got, (low, high) in (("dt", manifest.dt, dt), ("horizon", manifest.horizon, horizon)):
        if not low <= got <= high:
            raise CheckpointError(refuse(f"{what} of head {manifest.head_id}", got, f"{low:g} to {high:g}"))
    mine, its = set(manifest.joint_names), set(place_of.joint_names)
    if mine != its:
        differ = f"{sorted(mine - its) or 'none'} beyond and {sorted(its - mine) or 'none'} short"
        allowed = f"those of {place_of.head_id}, which is in use"
        raise CheckpointError(refuse(f"joints of head {manifest.head_id}", differ, allowed))


def warm_up(head: Head) -> None:
    """Ask the head, once with everything and once with nothing, so that its first chunk is neither late nor wrong.

    :raises CheckpointError: when what it says is not finite or has another shape than its manifest says.
    """
    manifest, q = head.manifest, np.zeros(NUM_JOINTS)
    generator = np.random.default_rng(0)
    try:
        given: dict[str, Any] = {
            name: generator.normal(0.0, 1.0, shape) for name, shape in manifest.backbone.tensors.items()
        }
        if "text_mask" in given:
            given["text_mask"] = np.ones_like(given["text_mask"])
        given["proprio"] = head.encode_proprio(q, q, _UPRIGHT, np.zeros(3))
        given["lidar"] = head.encode_lidar(np.zeros((1, 3)))
        given["eef"] = head.encode_eef([[0.3, side, 0.0, 0.0, 0.0, 0.0, 1.0] for side in (0.2, -0.2)])
        for inputs in (given, {}):
            said = head.act(q, **inputs)
            for name, value, shape in (
                ("q", said.q, (manifest.horizon, len(manifest.joint_names))),
                ("base_velocity", said.base_velocity, (manifest.horizon, 3)),
            ):
                if value.shape != shape or not np.isfinite(value).all():
                    got = f"shape {value.shape}" if value.shape != shape else "values that are not finite"
                    raise ContractError(refuse(name, got, f"finite values of shape {shape}"))
    except ContractError as error:
        raise CheckpointError(f"trial of head {manifest.head_id}: {error}") from error
    head.reset()
