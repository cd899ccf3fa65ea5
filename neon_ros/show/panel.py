"""The words of the view: robot status, guard and latencies as short markdown, readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
SILENCE = 1.0  # [s] without a guard report after which the state is not believed any more
LONGEST = 160


@dataclass(frozen=True)
class Status:
    """What the view says about the robot, from the guard report.

    :param chunk_age: seconds since the capture that the running chunk answers; negative when there is none.
    :param limits: joint and reason of the limits touched in the last period.
    :param counts: joint, reason and joint-periods of every intervention since the start.
    :param clearance: least distance between capsules of the robot's own links [m]; negative when not checked.
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
    counts: tuple[tuple[str, str, int], ...] = ()
    clearance: float = -1.0
    alarms: int = 0
    last_alarm: str = ""


@dataclass(frozen=True)
class Latency:
    """Time of one stage: spent in it, and since the capture [s]."""

    compute: float
    since_capture: float


def state_words(status: Status | None, silence: float = 0.0) -> str:
    """Return the state in words, or that it is not known.

    :param silence: time since the last guard report [s].
    """
    if status is None:
        return "NOT HEARD: waiting for the first report of the guard"
    if silence > SILENCE:
        return f"NOT HEARD for {silence:.0f} s: last state {status.state}"
    return STATE_WORDS.get(status.state, status.state)


def status_markdown(status: Status, silence: float = 0.0) -> str:
    """Return the status as a few lines of markdown."""
    lines = [f"**{state_words(status, silence)}**"]
    if status.reason:
        lines.append(plain(status.reason))
    age = "none" if status.chunk_age < 0 else f"{status.chunk_age * 1e3:.0f} ms old"
    lines.append(f"mode `{status.mode}` · variant {status.mode_machine} · chunk {age}")
    return "\n\n".join(lines)


def guard_markdown(status: Status) -> str:
    """Return what the guard did: touched limits, interventions by joint and reason, clearance, refusals, alarms."""
    lines = []
    if status.limits:
        touched = ", ".join(f"{_joint(joint)} ({reason})" for joint, reason in status.limits[:4])
        lines.append(f"**limits now:** {touched}" + (" …" if len(status.limits) > 4 else ""))
    else:
        lines.append("**limits now:** none")
    close = "not checked" if status.clearance < 0 else f"{100 * status.clearance:.1f} cm"
    lines.append(f"clearance between own links: {close}")
    lines.append(
        f"{status.chunks_admitted} chunks admitted, {status.chunks_refused} refused · "
        f"{status.commands_sent} commands · {status.limit_count} limit touches"
    )
    if status.last_refusal:
        lines.append(f"last refusal: {plain(status.last_refusal)}")
    lines.append(f"**{status.alarms} alarms**" + (f": {plain(status.last_alarm)}" if status.last_alarm else ""))
    if status.counts:
        most = sorted(status.counts, key=lambda row: -row[2])[:8]
        rows = [f"| {_joint(joint)} | {reason} | {count} |" for joint, reason, count in most]
        lines.append("\n".join(["| joint | reason | periods |", "|---|---|---:|", *rows]))
        if len(status.counts) > len(most):
            lines.append(f"and {len(status.counts) - len(most)} more")
    return "\n\n".join(lines)


def policy_markdown(head_id: str, checksum: str, models: Mapping[str, str]) -> str:
    """Return which head and backbone are in use.

    :param head_id: of the newest chunk; empty when there was none.
    :param checksum: of its weights.
    :param models: model id by node, as the diagnostics say.
    """
    head = f"**{plain(head_id)}** ({checksum[:8] or 'no weights'})" if head_id else "no chunk yet"
    backbone = models.get("backbone", "")
    return f"head {head}\n\nbackbone " + (f"**{plain(backbone)}**" if backbone else "not heard")


def latency_markdown(latencies: Mapping[str, Latency]) -> str:
    """Return a table of the stages in the order they are given, a bar of the time spent beside each."""
    if not latencies:
        return "no stage has reported yet"
    longest = max(max(value.compute for value in latencies.values()), 1e-9)
    rows = [
        f"| {stage} | {value.compute * 1e3:.1f} | {value.since_capture * 1e3:.0f} | {bar(value.compute / longest)} |"
        for stage, value in latencies.items()
    ]
    return "\n".join(["| stage | spent ms | since capture ms | |", "|---|---:|---:|---|", *rows])


def bar(share: float, cells: int = 8) -> str:
    """Return a bar of characters, at least one."""
    return "▇" * max(1, round(min(max(share, 0.0), 1.0) * cells))


def plain(text: str) -> str:
    """Return text of others shortened, and without what markdown or HTML would act on."""
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!~$" else " " if c in "\r\n" else c for c in short)


def _joint(name: str) -> str:
    return name.removesuffix("_joint").replace("_", " ")


def said_markdown(instruction: str, reply: str, things: Sequence[str], task: str) -> str:
    """Return what was told and answered, what can be touched, and how the task stands."""
    lines = []
    if instruction:
        lines.append(f"told: “{plain(instruction)}”")
    if reply:
        lines.append(f"says: “{plain(reply)}”")
    if things:
        lines.append(f"on the table: {plain(', '.join(things))}")
    if task:
        lines.append(f"**{plain(task)}**")
    return "\n\n".join(lines)
