"""The browser view: the scene, the panel and the bar with STOP, fed by whoever has the data.

Setters only keep the newest data; :meth:`BrowserView.refresh` sends what has changed, and nothing while nobody
watches.  The server listens on loopback unless told otherwise and asks nothing of the internet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.show.address import ViewConfig, refuse_taken_port
from neon_ros.show.controls import PLOT_SECONDS, Operator, Panel
from neon_ros.show.gate import Gate, guarded_by, is_loopback, token_for
from neon_ros.show.labels import joint_link
from neon_ros.show.meshes import robot_meshes
from neon_ros.show.panel import (
    Latency,
    Status,
    guard_markdown,
    latency_markdown,
    policy_markdown,
    said_markdown,
    state_words,
    status_markdown,
)
from neon_ros.show.prediction import LinkKinematics, Prediction
from neon_ros.show.scene import MOST_LIMITS, STANDING_HEIGHT, RobotScene, WorldObject
from neon_ros.show.scrub import Moment, Ring, at
from neon_ros.show.trail import Window

TEXT_PERIOD = 0.25  # [s] between two updates of texts and plots
FORGOTTEN = 60.0  # [s] after which a view that was left in the past goes back to live


class BrowserView:
    """The view and its controls.

    :param config: address, token and rate.
    :param kinematics: forward kinematics of the G1.
    :param operator: carries out what is pressed.
    :param heads: names that the head's selector offers.
    :raises ConfigError: when the port is taken, or the token could be guessed.
    """

    def __init__(
        self, config: ViewConfig, kinematics: LinkKinematics, operator: Operator, heads: Sequence[str] = ()
    ) -> None:
        refuse_taken_port(config)
        import viser

        self._kinematics = kinematics
        self._stop_answer = ""
        self._task = ""
        self._operator = operator
        token = token_for(config.host, config.token)
        gate = Gate(config.host, token, self._stop, self._bar)
        with guarded_by(gate):
            self._server = viser.ViserServer(host=config.host, port=config.port, label="neon_ros", verbose=False)
        if self._server.get_port() != config.port:  # somebody took it meanwhile, and viser went on to the next
            self._server.stop()
            raise ConfigError(refuse("view address", f"port {config.port} in use", "a free port"))
        self.address = config.address(token)
        self.open_to_others = not is_loopback(config.host)
        meshes, self.missing = robot_meshes()
        self._scene = RobotScene(self._server, meshes)
        self.panel = Panel(self._server, operator, heads)
        self._root = np.eye(4)
        self._root[2, 3] = STANDING_HEIGHT
        self._q: NDArray[np.float64] | None = None
        self._prediction: Prediction | None = None
        self._previous: Prediction | None = None
        self._blend: tuple[float, float] | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._points: NDArray[np.float32] | None = None
        self._status: Status | None = None
        self._heard = -np.inf
        self._latencies: dict[str, Latency] = {}
        self._fresh: dict[str, Any] = {}
        self._models: Mapping[str, str] = {}
        self._policy = ("", "")
        self._ring = Ring()
        self._past: list[Moment] = []
        self._ago, self._ago_since = 0.0, 0.0
        self._texts_at = -np.inf
        self._now = 0.0
        self._refreshes = 0

    @property
    def watchers(self) -> int:
        """Number of browsers connected now."""
        return len(self._server.get_clients())

    def set_kinematics(self, kinematics: LinkKinematics) -> None:
        """Place links as in the variant that the robot reports."""
        self._kinematics = kinematics

    def set_joints(self, q: NDArray[np.float64]) -> None:
        """Show the robot at ``q`` (29,) [rad]."""
        self._q = q

    def set_orientation(self, rotation: NDArray[np.float64]) -> None:
        """Show the pelvis turned by ``rotation`` (3, 3), pelvis to world."""
        self._root[:3, :3] = rotation

    def set_camera(self, image: NDArray[np.uint8]) -> None:
        """Show the camera picture (H, W, 3) RGB."""
        self._picture = self._fresh["camera"] = image

    def set_points(self, points: NDArray[np.float32]) -> None:
        """Show LiDAR points (N, 3) in the pelvis frame [m]; none clears them."""
        self._points = self._fresh["points"] = points

    def set_prediction(
        self,
        prediction: Prediction | None,
        blend: tuple[float, float] | None = None,
        policy: tuple[str, str] = ("", ""),
    ) -> None:
        """Show where a chunk leads; the chunk before turns grey.  ``None`` when the last chunk is over.

        :param blend: when the guard fades into it, after its capture [s].
        :param policy: name and checksum of the head that made it.
        """
        self._previous = None if prediction is None else self._prediction
        self._prediction, self._blend = prediction, blend
        self._fresh["chunk"] = True
        if prediction is not None:
            self._fresh["policy"] = policy

    def set_status(self, status: Status, now: float) -> None:
        """Show the guard's state, heard at ``now`` [s, steady clock]."""
        if self._status is not None and status.state != self._status.state:
            self._fresh["state"] = True
        self._status, self._heard = status, now

    def set_latency(self, stage: str, latency: Latency) -> None:
        """Show how long a stage took."""
        self._latencies[stage] = latency

    def set_words(self, instruction: str, reply: str, things: Sequence[str], task: str) -> None:
        """Show what was said, what stands on the table, and how the task goes."""
        self._task = task
        self._fresh["said"] = said_markdown(instruction, reply, things, task)

    def set_models(self, models: Mapping[str, str]) -> None:
        """Show which models run, by node."""
        self._fresh["models"] = dict(models)

    def set_window(self, window: Window, commanded: NDArray[np.float64], measured: NDArray[np.float64]) -> None:
        """Show the last seconds: plots, and the palms' paths (2, N, 3) each, pelvis frame [m]."""
        self._fresh["window"] = window
        self._fresh["trail"] = commanded, measured

    def set_world(self, objects: Sequence[WorldObject]) -> None:
        """Show the simulated world's objects."""
        self._fresh["world"] = list(objects)

    def refresh(self, now: float) -> None:
        """Keep the moment and send what has changed since the last call; call at ``config.rate``.

        :param now: [s, steady clock].
        """
        self._now = now
        if self._ring.due(now):
            words = state_words(self._status, now - self._heard)
            seen = (self._prediction, self._previous, words, self._picture, self._points)
            self._ring.add(Moment(now, self._q, self._root.copy(), *seen))
        if not self.watchers:
            return
        self._refreshes += 1
        fresh, self._fresh = self._fresh, {}
        moment = self._moment(now, "state" in fresh)
        if moment is not None:
            self._show_past(moment)
        else:
            self._show_now(fresh)
        if now - self._texts_at >= TEXT_PERIOD:
            self._texts_at = now
            self._show_texts(fresh, now)
        else:  # texts wait for their turn
            for name in ("said", "models", "policy", "window"):
                if name in fresh:
                    self._fresh.setdefault(name, fresh[name])

    def close(self) -> None:
        """Stop listening."""
        self._server.stop()

    # the bar ----------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        def answered(text: str) -> None:
            self._stop_answer = f"stop: {text}"
            self.panel.put(self.panel.answer, self._stop_answer)

        self._stop_answer = "stop: asked"
        self._operator.ask("stop", "", answered)

    def _bar(self) -> dict[str, object]:
        """Return what stands beside STOP, and how many look at it how often."""
        past = "the 3D view shows the past" if self._ago > 0.0 else ""
        reason = self._status.reason if self._status is not None else ""
        more = " · ".join(text for text in (reason, self._stop_answer, past, self._task) if text)
        words = state_words(self._status, self._now - self._heard)
        return {"words": words, "more": more[:300], "watchers": self.watchers, "refreshes": self._refreshes}

    # drawing ----------------------------------------------------------------------------------------------------

    def _moment(self, now: float, state_changed: bool) -> Moment | None:
        """Return the moment of the past to show, ``None`` for live."""
        ago = float(self.panel.back.value)
        if ago != self._ago:
            if self._ago == 0.0:
                self._past = self._ring.freeze()
            self._ago, self._ago_since = ago, now
        elif ago > 0.0 and (state_changed or now - self._ago_since > FORGOTTEN):
            self.panel.back.value = self._ago = ago = 0.0
        if ago <= 0.0:
            if self._past:
                self._past = []
                self._fresh |= {"chunk": True, "back": True}
                self.panel.put(self.panel.scrub_text, "live; move the slider to go back")
            return None
        return at(self._past, ago)

    def _show_past(self, moment: Moment) -> None:
        with self._server.atomic():
            if moment.q is not None:
                self._scene.place(moment.root, self._kinematics.poses(moment.q))
            self._scene.draw_chunk(moment.prediction, moment.previous, None)
            self._scene.draw_trail(np.zeros((0, 0, 3)), np.zeros((0, 0, 3)))
            self._scene.draw_limits({})
            if moment.points is not None:
                self._scene.draw_points(moment.points)
        if moment.picture is not None:
            self.panel.camera.image = moment.picture
        age = self._past[-1].time - moment.time
        self.panel.put(self.panel.scrub_text, f"**PAST: {age:.1f} s before you moved the slider**\n\n{moment.words}")

    def _show_now(self, fresh: Mapping[str, Any]) -> None:
        with self._server.atomic():
            if self._q is not None:
                poses = self._kinematics.poses(self._q)
                self._scene.place(self._root, poses)
                limits = {} if self._status is None else limit_places(self._status.limits, poses)
                self._scene.draw_limits(limits)
            if "chunk" in fresh:
                self._scene.draw_chunk(self._prediction, self._previous, self._blend)
                self._scene.draw_velocity(None if self._prediction is None else self._prediction.base_velocity)
            if "trail" in fresh:
                self._scene.draw_trail(*fresh["trail"])
            points = fresh.get("points", self._points if "back" in fresh else None)
            if points is not None:
                self._scene.draw_points(points)
            if "world" in fresh:
                self._scene.draw_world(fresh["world"])
        if "camera" in fresh:
            self.panel.camera.image = fresh["camera"]

    def _show_texts(self, fresh: Mapping[str, Any], now: float) -> None:
        panel, silence = self.panel, now - self._heard
        if self._status is not None:
            panel.put(panel.status, status_markdown(self._status, silence))
            panel.put(panel.guard, guard_markdown(self._status))
        if self._latencies:
            panel.put(panel.latency, latency_markdown(self._latencies))
        if "said" in fresh:
            panel.put(panel.said, fresh["said"])
        self._models, self._policy = fresh.get("models", self._models), fresh.get("policy", self._policy)
        panel.put(panel.policy, policy_markdown(*self._policy, self._models))
        if "window" in fresh:
            panel.plot(fresh["window"])


def limit_places(
    limits: Sequence[tuple[str, str]], poses: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return a label per joint and reason, and where its joint is, pelvis frame [m]."""
    places = {}
    for joint, reason in limits[:MOST_LIMITS]:
        pose = poses.get(joint_link(joint))
        if pose is not None:
            name = joint.removesuffix("_joint").replace("_", " ")
            places[f"{name}: {reason}"] = pose[:3, 3]
    return places


__all__ = ["PLOT_SECONDS", "BrowserView", "ViewConfig", "WorldObject"]
