"""Plot what happens where a new chunk takes over: played as it comes, and through this project's timeline and limiter.

    python docs/plot_seam.py [picture]      (needs matplotlib: the extra "train")

Two chunks of 16 steps, 20 ms apart, for the left elbow.  The second was computed from a capture at 0.2 s, arrives
90 ms later and wants something else.  "As it comes" is the kinder of the common ways: the new chunk is aligned in time
and joined linearly between its steps; started from its first step it would jump further.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import Limiter
from neon_ros.guard.limits import MotionLimits, motion_limits
from neon_ros.guard.timeline import Timeline
from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.robot.variants import VARIANTS

PICTURE = Path(__file__).parent / "images" / "seam.png"
JOINT = "left_elbow_joint"
PERIOD, STEP, STEPS = 0.002, 0.02, 16  # [s], [s], steps of a chunk
CAPTURE, ARRIVAL = 0.2, 0.29  # [s] of the second chunk
SHOWN = (0.18, 0.5)  # [s] by then the joint, which starts from rest, has met the first chunk
NAIVE, OURS, GREY = "#D55E00", "#0072B2", "#777777"  # told apart by the colour-blind (Okabe and Ito), and by line style
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}


class Seam(NamedTuple):
    """One way over the seam, every 2 ms.

    :param times: (n,) [s].
    :param derivatives: position, velocity, acceleration, jerk (4, n) [rad, rad/s, rad/s^2, rad/s^3].
    """

    times: NDArray[np.float64]
    derivatives: NDArray[np.float64]

    def peaks(self) -> NDArray[np.float64]:
        """Return the largest absolute velocity, acceleration and jerk (3,)."""
        return np.asarray(np.abs(self.derivatives[1:]).max(axis=1))


def limits() -> MotionLimits:
    """Return the limits of the joint that is plotted."""
    return motion_limits(next(iter(VARIANTS.values()))).take(np.array([JOINT_INDEX[JOINT]]))


def chunks() -> tuple[AdmittedChunk, AdmittedChunk]:
    """Return the chunk in force and the one that takes over."""
    since = STEP * np.arange(STEPS)
    first = 0.25 + 0.35 * np.sin(2.2 * since)
    second = 0.39 + 0.10 * np.sin(2.2 * (since + CAPTURE)) - 0.55 * since  # it has changed its mind
    return _chunk(0.0, first), _chunk(CAPTURE, second)


def _chunk(start: float, q: NDArray[np.float64]) -> AdmittedChunk:
    full, moved = np.zeros((STEPS, NUM_JOINTS)), np.zeros(NUM_JOINTS, dtype=bool)
    full[:, JOINT_INDEX[JOINT]], moved[JOINT_INDEX[JOINT]] = q, True
    return AdmittedChunk(start, STEP, full, moved, np.zeros((STEPS, 3)), 1, 1)


def ticks() -> NDArray[np.float64]:
    """Return the times of all periods (n,) [s]."""
    return np.arange(0.0, SHOWN[1], PERIOD)


def as_it_comes() -> Seam:
    """Return the commands of a stack that joins the steps of the newest chunk linearly."""
    times = ticks()
    one, two = (
        np.interp(times, chunk.t0 + STEP * np.arange(STEPS), chunk.q[:, JOINT_INDEX[JOINT]]) for chunk in chunks()
    )
    q = np.where(times < ARRIVAL, one, two)
    derivatives = [q]
    for _ in range(3):  # what the motor has to follow: finite differences of what it is told
        derivatives.append(np.diff(derivatives[-1], prepend=derivatives[-1][0]) / PERIOD)
    return _shown(times, np.array(derivatives))


def through_the_guard() -> Seam:
    """Return the commands of timeline and limiter."""
    one, two = chunks()
    timeline, limiter = Timeline(limits()), Limiter(limits(), PERIOD)
    limiter.start(one.q[0, [JOINT_INDEX[JOINT]]])
    timeline.join(one, 0.0, *limiter.state)
    states, joined = [], False
    times = ticks()
    for now in times:
        if now >= ARRIVAL and not joined:
            joined = True
            timeline.join(two, now - PERIOD, *limiter.state)
            limiter.meet()
        before = limiter.state[2, 0]
        limiter.step(timeline.sample(now).reference)
        states.append([*limiter.state[:, 0], (limiter.state[2, 0] - before) / PERIOD])
    return _shown(times, np.array(states).T)


def _shown(times: NDArray[np.float64], derivatives: NDArray[np.float64]) -> Seam:
    inside = times >= SHOWN[0]
    return Seam(times[inside], derivatives[:, inside])


def plot(path: Path) -> None:
    """Draw the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    naive, ours, bounds = as_it_comes(), through_the_guard(), limits()
    plt.rcParams["font.size"] = 11
    figure, axes = plt.subplots(4, 1, figsize=(9.0, 8.6), sharex=True, height_ratios=(1.6, 1, 1, 1))
    names = ("position [rad]", "velocity [rad/s]", "acceleration [rad/s²]", "jerk [rad/s³]")
    tops = (None, bounds.velocity[0], bounds.acceleration[0], bounds.jerk[0])
    for row, (axis, name, top) in enumerate(zip(axes, names, tops, strict=True)):
        label = ("new chunk played as it comes, linear between steps", "timeline and limiter of neon_ros")
        axis.plot(naive.times, naive.derivatives[row], "--", color=NAIVE, lw=1.4, label=label[0])
        axis.plot(ours.times, ours.derivatives[row], color=OURS, lw=2.0, label=label[1])
        axis.axvline(ARRIVAL, color=GREY, lw=0.8, zorder=0)
        axis.set_ylabel(name)
        axis.grid(alpha=0.25)
        axis.margins(x=0)
        if top is not None:
            axis.set_ylim(-1.5 * top, 1.5 * top)
            for bound in (-top, top):
                axis.axhline(bound, color="black", lw=0.9, ls=":")
            axis.text(SHOWN[1] - 0.002, 1.04 * top, "limit", va="bottom", ha="right", fontsize=9, bbox=_PAPER)
            peak = naive.peaks()[row - 1]
            if peak > 1.5 * top:
                said = f"peaks at {peak / top:,.0f} times the limit"
                axis.text(ARRIVAL - 0.008, 1.24 * top, said, color=NAIVE, ha="right", va="center", bbox=_PAPER)
    _mark_chunks(axes[0])
    axes[-1].set_xlabel("time [s]")
    axes[0].set_title("The left elbow where a new chunk takes over", loc="left", fontsize=12)
    figure.align_ylabels()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _mark_chunks(axis: Any) -> None:
    """Show the steps of both chunks, when the new one was captured and when it arrives."""
    for chunk, marker, label in zip(chunks(), ("o", "s"), ("steps of the old chunk", "of the new one"), strict=True):
        q, times = chunk.q[:, JOINT_INDEX[JOINT]], chunk.t0 + STEP * np.arange(STEPS)
        q, times = q[times >= SHOWN[0]], times[times >= SHOWN[0]]
        axis.plot(times, q, marker, color=GREY, ms=3.5, mfc="white", zorder=1, label=label)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.3 * (high - low))
    axis.set_xlim(*SHOWN)
    axis.text(ARRIVAL + 0.004, low + 0.02 * (high - low), "the new chunk arrives")
    axis.legend(loc="upper left", ncols=2, fontsize=10, frameon=False)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    plot(target)
    print(target)
