"""How fast the motor path is, each figure beside a baseline taken in turns with it in the same run.

    python benchmarks/motor.py [--section tick|period|latency|cpu|seam|starvation ...] [--quick]

- *tick*: one period of the guard (chunk, timeline, limits, torque, collision) with filling and CRC, against the period;
  with a policy that moves gently, and with one that throws every joint over its whole range;
- *period*: wake-ups of the real motor process, ACTIVE and driven, against a bare loop of ``clock_nanosleep`` beside it,
  and against those of the robot's LowState, which the motor keeps in step with;
- *latency*: LowState to the LowCmd made from it, as the robot sees it, against a bare DDS echo in the turns between;
- *cpu*: of the motor process, all threads;
- *seam*: peak acceleration and jerk where chunks change, against a switch without joining;
- *starvation*: ticks without anything to follow, for slow inference.

The live sections start a robot, an echo, a guardian and the motor on DDS domains of their own, on this machine only.
A ratio whose baseline's median differs by more than 20 % between repeats is not printed as a result.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import motor_guard
import numpy as np

from neon_ros.errors import NeonError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES

HERE = Path(__file__).parent
PERIOD = 2000.0  # [us]
DRIFT = 0.2
_PATIENCE = 40.0  # [s] for processes to come up on a busy machine


class Figure(NamedTuple):
    """One line of the table: medians and worst over the repeats, and whether the goal is met."""

    name: str
    baseline: str
    ours: str
    ratio: str
    goal: str
    met: bool | None


def ratio_figure(
    name: str, baseline: Sequence[float], ours: Sequence[float], goal: float, unit: str, steady: Sequence[float]
) -> Figure:
    """Return a line with the median and the worst of paired ratios.

    :param steady: the baseline's median in each repeat; the ratio is refused when it drifts too far.
    """
    ratios = [o / b for b, o in zip(baseline, ours, strict=True)]
    drift = (max(steady) - min(steady)) / median(steady)
    shown = f"{median(ratios):.2f}x (worst {max(ratios):.2f}x)"
    met: bool | None = median(ratios) <= goal
    if drift > DRIFT:
        shown, met = f"refused: baseline p50 drifted {100 * drift:.0f} % ({median(ratios):.2f}x)", None
    line = [f"{median(values):.1f} {unit} (worst {max(values):.1f})" for values in (baseline, ours)]
    return Figure(name, line[0], line[1], shown, f"<= {goal:g}x", met)


def bound_figure(name: str, values: Sequence[float], bound: float, unit: str, against: str) -> Figure:
    """Return a line for what must stay under a bound: the median and the worst repeat."""
    shown = f"{median(values):.1f} {unit} (worst {max(values):.1f})"
    part = f"{100 * median(values) / bound:.0f} % of the bound" if bound else ""
    return Figure(name, against, shown, part, f"<= {bound:g} {unit}", median(values) <= bound)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| figure | baseline | ours | ratio | goal | met |", "|---|---|---|---|---|---|"]
    words = {True: "yes", False: "NO", None: "-"}
    lines += [f"| {' | '.join(figure[:5])} | {words[figure.met]} |" for figure in figures]
    return "\n".join(lines)


def machine() -> str:
    """Return what the figures depend on: processor, kernel, load, governor, SCHED_FIFO."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            model = line.split(":", 1)[1].strip()
            break
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        fifo = "SCHED_FIFO"
    except OSError:
        fifo = "no SCHED_FIFO"
    kept = governor.read_text().strip() if governor.exists() else "unknown"
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores, kernel {platform.release()}, governor {kept}, load {load}, {fifo}"


# -- the guard alone ---------------------------------------------------------------------------------------------------


def tick_section(repeats: int, quick: bool) -> list[Figure]:
    """Time the guard's ticks."""
    figures = []
    for policy, mode in (
        (motor_guard.gentle, "upper_body"),
        (motor_guard.gentle, "whole_body"),
        (motor_guard.hostile, "upper_body"),
        (motor_guard.hostile, "whole_body"),
    ):
        with motor_guard.quiet():
            runs = [motor_guard.ticks(mode, policy, 1500 if quick else 5000, seed) for seed in range(repeats)]
        name = f"tick p99, {mode}, {policy.__name__} ({100 * runs[0].limited:.0f} % of ticks limited)"
        figures.append(bound_figure(name, [run.p99 for run in runs], 0.1 * PERIOD, "us", "period 2000 us"))
        p50, worst = median(run.p50 for run in runs), max(run.worst for run in runs)
        answer = median(run.answer for run in runs)
        detail = f"period 2000 us; p50 {p50:.0f}, worst tick {worst:.0f}; from LowState on p99 {answer:.0f}"
        figures[-1] = figures[-1]._replace(baseline=detail)
        figures.append(
            bound_figure("the same, processor time", [run.worked for run in runs], 0.1 * PERIOD, "us", "period 2000 us")
        )
    return figures


def seam_section(repeats: int, quick: bool) -> list[Figure]:
    """Compare seams with a naive switch."""
    seams = [
        motor_guard.seam(size, seed) for size in (0.005, 0.02, 0.05) for seed in range(2 if quick else 2 * repeats)
    ]
    figures = []
    for name, ratios, shares in (
        ("acceleration", [s.acceleration for s in seams], [s.of_acceleration_limit for s in seams]),
        ("jerk", [s.jerk for s in seams], [s.of_jerk_limit for s in seams]),
    ):
        figures.append(
            Figure(
                f"peak {name} at a seam, {len(seams)} seams of 0.005 to 0.05 rad",
                "switch without joining",
                f"at most {100 * max(shares):.2f} % of the limit",
                f"{median(ratios):.0f}x lower (least {min(ratios):.0f}x)",
                ">= 20x lower, inside limits",
                median(ratios) >= 20.0 and max(shares) <= 1.0 + 1e-4,
            )
        )
    return figures


def starvation_section(repeats: int, quick: bool) -> list[Figure]:
    """Count ticks without anything to follow."""
    delays = (0.0, 0.08, 0.16, 0.24, 0.28)
    seconds = 3.0 if quick else 8.0
    figures = []
    for overlapping, how in ((True, "a look every 50 ms"), (False, "a look after each chunk")):
        counts = {delay: motor_guard.starved(delay, overlapping, seconds) for delay in delays}
        shown = ", ".join(f"{1e3 * delay:.0f} ms: {count}" for delay, count in counts.items())
        within = [count for delay, count in counts.items() if delay <= 0.24]
        met = not any(within) if overlapping else None
        figures.append(Figure(f"starved ticks, {how}", "-", shown, "-", "0 up to 240 ms", met))
    return figures


# -- the processes -----------------------------------------------------------------------------------------------------


class Live(NamedTuple):
    """One run of the real processes."""

    bare: np.ndarray  # period errors of the bare loop [us]
    robot: np.ndarray  # of the robot's LowState, which the motor follows [us]
    motor: np.ndarray  # period errors of the motor, ACTIVE [us]
    echo: np.ndarray  # answers of the echo [us]
    ours: np.ndarray  # answers of the motor [us]
    cpu: float  # of the motor [% of a core]
    echo_cpu: float
    full_collections: int  # while ACTIVE


def period_errors(woke: np.ndarray) -> np.ndarray:
    """Return how far each period is from 2 ms [us].

    :param woke: wake-ups [ns].
    """
    return np.abs(np.diff(woke) * 1e-3 - PERIOD)


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used, all its threads [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of ``condition``."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise SystemExit(f"{what}: not within {_PATIENCE:g} s")


class Processes:
    """The processes of one run, and their end."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.session = f"bench{os.getpid()}-{domain}"
        self._domain, self._folder = domain, folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``python *arguments``; what it says goes to the log."""
        log = (self._folder / "log").open("a")
        started = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=log, text=True)
        self._started.append(started)
        return started

    def peer(self, role: str, *arguments: str, ready: bool = True) -> subprocess.Popen[str]:
        """Start one of ``motor_peers.py`` and wait until it is ready."""
        started = self.start(str(HERE / "motor_peers.py"), role, *arguments)
        if ready and (started.stdout is None or started.stdout.readline() != "ready\n"):
            raise SystemExit(f"{role} did not start:\n{(self._folder / 'log').read_text()}")
        return started

    def memory(self) -> MotorMemory | None:
        """Return the motor's memory, once there is one."""
        try:
            return MotorMemory.open(self.session, "command")
        except NeonError:
            return None

    def end(self, process: subprocess.Popen[str]) -> None:
        """Ask a process to end, and wait until it has."""
        process.terminate()
        process.wait(timeout=10.0)

    def close(self) -> None:
        """End whatever still runs."""
        for process in self._started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def live(domain: int, seconds: float) -> Live:
    """Run robot, echo, bare loop, guardian and motor side by side for ``seconds``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(domain, folder)
        try:
            return _live(processes, domain, folder, seconds)
        except Exception:
            print((folder / "log").read_text(), file=sys.stderr)
            raise
        finally:
            processes.close()


def _live(processes: Processes, domain: int, folder: Path, seconds: float) -> Live:
    out = {name: folder / f"{name}.npz" for name in ("bare", "robot", "motor")}
    echo = processes.peer("echo", "--domain", str(domain + 1))
    wire = ("--domain", str(domain), "--echo-domain", str(domain + 1))
    robot = processes.peer("robot", *wire, "--out", str(out["robot"]))
    session = ("--session", processes.session, "--domain", str(domain))
    processes.start("-m", "neon_ros.motor.guardian", *session)
    settings = ("--mode", "upper_body", "--set", "arm_seconds=0.3", "--out", str(out["motor"]))
    motor = processes.peer("motor", *session, *settings, ready=False)
    memory = eventually(processes.memory, "the motor")
    with memory:
        eventually(lambda: (report := memory.read_report()) and report.state == "INACTIVE", "INACTIVE")
        eventually(lambda: memory.beat_age("guardian") < 0.02, "the guardian")
        accepted, text = memory.request("arm", timeout=_PATIENCE)
        if not accepted:
            raise SystemExit(f"the motor refused to arm: {text}")
        eventually(lambda: (report := memory.read_report()) and report.state == "ACTIVE", "ACTIVE")
        bare = processes.peer("bare", "--out", str(out["bare"]))
        drive(memory, 1.5)  # until the ticks are in step
        began, used = time.monotonic_ns(), [cpu_seconds(process.pid) for process in (motor, echo)]
        drive(memory, seconds)
        ended = time.monotonic_ns()
        cpu = [100 * (cpu_seconds(p.pid) - u) / (ended - began) * 1e9 for p, u in zip((motor, echo), used, strict=True)]
        report = eventually(memory.read_report, "a report")
        if report.state != "ACTIVE":
            raise SystemExit(f"the motor left ACTIVE: {report.reason}")
    for process in (bare, motor, robot, echo):
        processes.end(process)
    kept = {name: dict(np.load(path)) for name, path in out.items()}

    def during(stamps: np.ndarray) -> np.ndarray:
        return (stamps >= began) & (stamps <= ended)

    answers = [kept["robot"][name] for name in ("echo", "ours")]
    echoed, ours = (rows[during(rows[:, 0]), 1] * 1e-3 for rows in answers)
    if min(len(echoed), len(ours)) < 50 * seconds:
        raise SystemExit(f"only {len(echoed)} answers of the echo and {len(ours)} of the motor were recognised")
    errors = [period_errors(woke[during(woke)]) for woke in (kept[name]["woke"] for name in ("bare", "robot", "motor"))]
    return Live(*errors, echoed, ours, cpu[0], cpu[1], int(during(kept["motor"]["full"]).sum()))


def drive(memory: MotorMemory, seconds: float) -> None:
    """Send a new chunk every 50 ms: a slow sine on all joints of the mode."""
    moved = np.zeros(29, bool)
    moved[[JOINT_INDEX[name] for name in MODES[memory.mode].joint_names]] = True
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        phase = now + np.arange(16)[:, None] * 0.02
        q = np.where(moved, motor_guard.home() + 0.05 * np.sin(1.5 * phase), 0.0)
        memory.write_chunk(AdmittedChunk(now, 0.02, q, moved, np.zeros((16, 3)), 1, int(now * 1e3)))
        time.sleep(0.05)


def live_sections(wanted: set[str], repeats: int, seconds: float, domain: int) -> list[Figure]:
    """Run the processes ``repeats`` times and return what was asked of them."""
    runs = [live(domain + 2 * index, seconds) for index in range(repeats)]
    figures = []

    def quantile(arrays: list[np.ndarray], part: float) -> list[float]:
        return [float(np.percentile(array, part)) for array in arrays]

    bare, robot, motor, echo, ours = ([run[index] for run in runs] for index in range(5))
    if "period" in wanted:
        for name, base in (("a bare loop", bare), ("the LowState it follows", robot)):
            line = f"period error p99.9, {name}"
            figures.append(
                ratio_figure(line, quantile(base, 99.9), quantile(motor, 99.9), 1.5, "us", quantile(base, 50))
            )
        full = [float(run.full_collections) for run in runs]
        figures.append(bound_figure("full garbage collections while ACTIVE", full, 0.0, "", "-"))
    if "latency" in wanted:
        for part, goal in ((50, 1.3), (99, 1.5)):
            name = f"LowState to its LowCmd p{part:g}, bare DDS echo of the same bytes"
            figures.append(
                ratio_figure(name, quantile(echo, part), quantile(ours, part), goal, "us", quantile(echo, 50))
            )
    if "cpu" in wanted:
        against = f"the echo's {median(run.echo_cpu for run in runs):.1f} %, at half the rate"
        figures.append(bound_figure("motor process", [run.cpu for run in runs], 20.0, "% of a core", against))
    return figures


ALONE: dict[str, Callable[[int, bool], list[Figure]]] = {
    "tick": tick_section,
    "seam": seam_section,
    "starvation": starvation_section,
}
LIVE = ("period", "latency", "cpu")


def main() -> int:
    """Print the table; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", action="append", choices=(*ALONE, *LIVE), help="default: all; may be repeated")
    parser.add_argument("--repeats", type=int, default=5, help="of every measurement, baseline and ours in turns")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each live measurement")
    parser.add_argument("--domain", type=int, default=150, help="first DDS domain; two are used by each live repeat")
    parser.add_argument("--quick", action="store_true", help="2 repeats, shorter: to see that it runs")
    options = parser.parse_args()
    wanted = set(options.section or (*ALONE, *LIVE))
    repeats, seconds = (2, 3.0) if options.quick else (options.repeats, options.seconds)
    print(f"{machine()}; {repeats} repeats: median (worst)\n", flush=True)
    figures = []
    for name in sorted(wanted & set(ALONE)):
        figures += ALONE[name](repeats, options.quick)
    if wanted & set(LIVE):
        figures += live_sections(wanted, repeats, seconds, options.domain)
    print(table(figures))
    print(f"\nafterwards: load {'/'.join(f'{value:.1f}' for value in os.getloadavg())}")
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main())
