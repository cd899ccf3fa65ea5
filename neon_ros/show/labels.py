"""What is said beside the robot: state, words, touched limits and latency, as markers (plain data)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.show.markers import Marker
from neon_ros.show.palette import CYCLE, DARK, VERMILION, rgba
from neon_ros.show.panel import Latency

STATE_LIFETIME = 2.0  # [s]
LIMIT_LIFETIME = 0.6  # [s]
BAR_LENGTH, BAR_SECONDS = 0.8, 0.2  # the bar is this long [m] for this much time [s]
_STATE_Z, _TOLD_Z, _REPLY_Z, _BAR_Z = 0.84, 0.76, 0.71, 0.93  # [m] above the pelvis; the head ends at 0.55
LONGEST_TEXT = 120
LABEL_WIDTH = 0.25  # [m] between two labels that one beside the other has room for


def joint_link(joint: str) -> str:
    """Return the link that a joint turns: the torso for the waist's last one, else the link of its name."""
    return "torso_link" if joint == "waist_pitch_joint" else joint.replace("_joint", "_link")


def stacked(places: Sequence[NDArray[np.float64]], line: float) -> list[NDArray[np.float64]]:
    """Return where to write at ``places`` (3,) [m], so that no two lines that stand side by side cover one another.

    :param line: height of a line with its margin [m].
    """
    written: list[NDArray[np.float64]] = []
    result = [place.copy() for place in places]
    for index in np.argsort([place[2] for place in places], kind="stable"):
        place = result[index]
        for other in written:  # from the lowest up
            if np.hypot(*(place - other)[:2]) < LABEL_WIDTH and place[2] < other[2] + line:
                place[2] = other[2] + line
        written.append(place)
        written.sort(key=lambda one: float(one[2]))
    return result


def _text(namespace: str, number: int, place: Sequence[float], height: float, text: str, lifetime: float) -> Marker:
    short = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    return Marker(namespace, number, "text", np.array([place]), height, rgba(DARK), short, lifetime=lifetime)


def state_marker(state: str, reason: str) -> Marker:
    """Return the guard's state in words above the head."""
    return _text("state", 0, (0.0, 0.0, _STATE_Z), 0.05, f"{state}: {reason}" if reason else state, STATE_LIFETIME)


def said_markers(instruction: str, reply: str) -> list[Marker]:
    """Return what the robot was told and what it answered, where there is anything to show."""
    markers = []
    if instruction:
        markers.append(_text("instruction", 0, (0.0, 0.0, _TOLD_Z), 0.035, f"told: {instruction}", STATE_LIFETIME))
    if reply:
        markers.append(_text("reply", 0, (0.0, 0.0, _REPLY_Z), 0.035, f"says: {reply}", STATE_LIFETIME))
    return markers


def limit_markers(limits: Sequence[tuple[str, str]], poses: Mapping[str, NDArray[np.float64]]) -> list[Marker]:
    """Return a ball and a word at each joint that a limit touches.

    :param limits: joint and reason; names that are no joints are left out.
    :param poses: link name to (4, 4), pelvis frame.
    """
    reasons: dict[str, list[str]] = {}
    for joint, reason in limits:
        if joint in JOINT_INDEX and reason not in reasons.setdefault(joint, []):
            reasons[joint].append(reason)
    markers = []
    joints = [poses[joint_link(joint)][:3, 3] for joint in reasons]
    for (joint, why), place, told in zip(reasons.items(), joints, stacked(joints, 0.035), strict=True):
        number = JOINT_INDEX[joint]
        ball = Marker("limit", number, "spheres", place[None], 0.07, rgba(VERMILION, 0.7), lifetime=LIMIT_LIFETIME)
        words = f"{joint.removesuffix('_joint').replace('_', ' ')}: {', '.join(why)}"
        x, y, z = told.tolist()
        markers += [ball, _text("limit_text", number, (x, y, z + 0.05), 0.025, words, LIMIT_LIFETIME)]
    return markers


def latency_markers(latencies: Mapping[str, Latency]) -> list[Marker]:
    """Return a bar of what each stage spends, end to end, and the numbers; the longest stage first in the words.

    :param latencies: stage to its time, in the order of the pipeline.
    """
    if not latencies:
        return []
    ends = np.cumsum([0.0, *(max(value.compute, 0.0) for value in latencies.values())]) / BAR_SECONDS * BAR_LENGTH
    y = BAR_LENGTH / 2.0 - np.minimum(ends, BAR_LENGTH)  # from the robot's left to its right
    points = np.stack([np.zeros(2 * len(latencies)), np.stack([y[:-1], y[1:]], axis=1).ravel()], axis=1)
    points = np.concatenate([points, np.full((len(points), 1), _BAR_Z)], axis=1)
    colors = np.concatenate([np.repeat(rgba(CYCLE[i % len(CYCLE)]), 2, axis=0) for i in range(len(latencies))])
    spent = " · ".join(f"{stage} {1e3 * value.compute:.0f}" for stage, value in latencies.items())
    words = f"{spent} ms; newest {1e3 * max(value.since_capture for value in latencies.values()):.0f} ms after capture"
    bar = Marker("latency_bar", 0, "lines", points, 0.03, colors, lifetime=STATE_LIFETIME)
    return [bar, _text("latency_text", 0, (0.0, 0.0, _BAR_Z + 0.05), 0.025, words, STATE_LIFETIME)]
