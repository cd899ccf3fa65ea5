"""Who may sit the exam of `touch`: a policy, the same without eyes or without words, and the privileged expert.

An agent sees what the robot senses at one instant and answers with a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.heads import Head
from neon_ros.act.policy import HeadOutput
from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones import Backbone
from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.expert import DT, JOINTS, Expert
from neon_ros.learn.language import HANDS, Instruction
from neon_ros.robot.joints import joint_indices

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Senses:
    """What the robot senses at one instant.

    :param picture: of the head camera, uint8 (H, W, 3).
    :param cloud: LiDAR points in the torso frame (N, 3) [m].
    :param q: joints (29,) [rad]; ``dq`` their velocities [rad/s].
    :param gravity: its direction in the pelvis frame (3,).
    :param gyroscope: (3,) [rad/s].
    :param palms: left and right palm in the pelvis frame (2, 7): position [m], quaternion x y z w.
    :param sentence: what was said.
    :param missing: modalities that do not arrive: ``lidar``, ``proprio``, ``eef``.
    """

    picture: NDArray[np.uint8]
    cloud: NDArray[np.float32]
    q: Array
    dq: Array
    gravity: Array
    gyroscope: Array
    palms: Array
    sentence: str
    missing: tuple[str, ...] = ()


class Agent(Protocol):
    """Answers what is sensed with a chunk."""

    def begin(self, instruction: Instruction) -> None:
        """Start an episode; only the expert may use ``instruction``."""

    def act(self, senses: Senses) -> NDArray[np.floating]:
        """Return the targets of the 17 joints of ``upper_body`` (16, 17) [rad]."""


class PolicyAgent:
    """A trained policy behind its frozen backbone.

    :param policy: of control mode ``upper_body``.
    :param backbone: the one the policy was trained on.
    :param blind: zero the picture's tokens; everything else, the LiDAR too, stays as it is.
    :param wordless: zero the words' tokens and their mask.
    :raises ConfigError: when the policy moves other joints or uses another step.
    """

    def __init__(self, policy: Head, backbone: Backbone, blind: bool = False, wordless: bool = False) -> None:
        manifest = policy.manifest
        if set(manifest.joint_names) != set(JOINTS):
            raise ConfigError(refuse("joints of the policy", manifest.joint_names, f"the {len(JOINTS)} of upper_body"))
        if abs(manifest.dt - DT) > 1e-9:
            raise ConfigError(refuse("dt of the policy", manifest.dt, f"{DT} s"))
        self._policy, self._backbone = policy, backbone
        self._blind, self._wordless = blind, wordless
        self._columns = np.argsort(joint_indices(manifest.joint_names))

    def begin(self, instruction: Instruction) -> None:
        """Start an episode; a policy has no memory."""

    def act(self, senses: Senses) -> NDArray[np.floating]:
        """Return the policy's chunk."""
        return self.decide(senses).q

    def decide(self, senses: Senses, prefix: FloatArray | None = None) -> HeadOutput:
        """Return the policy's chunk, columns in motor order, with its base velocity.

        :param prefix: steps that are decided already (K, J) [rad], columns in motor order.
        """
        tensors = self._backbone.encode(senses.picture, senses.sentence)
        vision, text, mask = tensors["vision"], tensors["text"], tensors["text_mask"]
        if self._blind:
            vision = np.zeros_like(vision)
        if self._wordless:
            text, mask = np.zeros_like(text), np.zeros_like(mask)
        policy = self._policy
        output = policy.act(
            senses.q,
            vision=vision,
            text=text,
            text_mask=mask,
            proprio=None
            if "proprio" in senses.missing
            else policy.encode_proprio(senses.q, senses.dq, senses.gravity, senses.gyroscope),
            lidar=None if "lidar" in senses.missing else policy.encode_lidar(senses.cloud),
            eef=None if "eef" in senses.missing else policy.encode_eef(senses.palms),
            prefix=None if prefix is None else prefix[:, np.argsort(self._columns)],
        )
        return HeadOutput(output.q[:, self._columns], output.base_velocity)


class ExpertAgent:
    """The privileged expert: it is told where the things are.

    :param expert: answers states.
    :param top_of: returns the top of the named thing in the pelvis frame (3,) [m].
    """

    def __init__(self, expert: Expert, top_of: Callable[[Instruction], Array]) -> None:
        self._expert, self._top_of = expert, top_of
        self._instruction: Instruction | None = None

    def begin(self, instruction: Instruction) -> None:
        """Start an episode."""
        self._instruction = instruction

    def act(self, senses: Senses) -> NDArray[np.floating]:
        """Return the expert's chunk."""
        if self._instruction is None:
            raise ConfigError(refuse("expert", "no instruction", "an episode that has begun"))
        hand = np.array([HANDS.index(self._instruction.hand)])
        top = self._top_of(self._instruction)[None]
        return self._expert.chunks(senses.q[None], senses.dq[None], hand, top)[0]
