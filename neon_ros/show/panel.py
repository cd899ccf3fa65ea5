"""The words of the view: robot status and latencies as short markdown, readable without colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STATE_WORDS: dict[str, str] = {
    "UNCONFIGURED": "UNCONFIGURED: no robot heard yet",
    "INACTIVE": "INACTIVE: nothing is commanded; press Arm",
    "ARMING": "ARMING: taking over gently",
    "ACTIVE": "ACTIVE: the policy moves the robot",
    "HOLD": "HOLD: standing still, waiting for fresh chunks",
    "DAMPING": "DAMPING: stopped; disarm, then arm again",
}
"""State to words: the name of the state stands first, so no colour is needed to read it."""


@dataclass(frozen=True)
class Status:
    """What the view says about the robot, from the guard report.

    :param chunk_age: seconds since the capture that the running chunk answers; negative when there is none.
    :param limits: joint and reason of the limits touched in the last period.
    """

    state: str
    reason: str
    mode: str
    mode_machine: int
    chunks_admitted: int
    chunks_refused: int
    last_refusal: str
    commands_sent: int
    chunk_age: float
    limits: tuple[tuple[str, str], ...]
    limit_count: int


@dataclass(frozen=True)
class Latency:
    """Time of one stage: spent in it, and since the capture [s]."""

    compute: float
    since_capture: float


def status_markdown(status: Status) -> str:
    """Return the status as a few lines of markdown."""
    lines = [f"**{STATE_WORDS.get(status.state, status.state)}**"]
    if status.reason:
        lines.append(f"{status.reason}")
    age = "none" if status.chunk_age < 0 else f"{status.chunk_age * 1e3:.0f} ms old"
    lines.append(f"mode `{status.mode}` · variant {status.mode_machine} · chunk {age}")
    lines.append(
        f"{status.chunks_admitted} chunks admitted, {status.chunks_refused} refused · "
        f"{status.commands_sent} commands · {status.limit_count} limit touches"
    )
    if status.limits:
        touched = ", ".join(f"{joint.removesuffix('_joint')} ({reason})" for joint, reason in status.limits[:4])
        lines.append(f"limits now: {touched}" + (" …" if len(status.limits) > 4 else ""))
    if status.last_refusal:
        lines.append(f"last refusal: {status.last_refusal[:160]}")
    return "\n\n".join(lines)


def latency_markdown(latencies: Mapping[str, Latency]) -> str:
    """Return a table of the stages in the order they are given."""
    if not latencies:
        return "no stage has reported yet"
    rows = [
        f"| {stage} | {value.compute * 1e3:.1f} | {value.since_capture * 1e3:.0f} |"
        for stage, value in latencies.items()
    ]
    return "\n".join(["| stage | spent ms | since capture ms |", "|---|---:|---:|", *rows])
