"""The real-time loop of the simulator, without DDS traffic: its clock never jumps, and a slow machine says so."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

for package in ("mujoco", "cyclonedds", "unitree_sdk2py", "onnxruntime"):
    pytest.importorskip(package)

from neon_ros.sim import process as p  # noqa: E402
from neon_ros.sim.memory import SimReport  # noqa: E402


class Stub:
    """A simulator whose steps take as long as they are told to."""

    def __init__(self, steps: int, cost: float) -> None:
        self.world = SimpleNamespace(time=0.0)
        self.lost = 0.0
        self.stop = threading.Event()
        self.factors: list[float] = []
        self._left, self._cost = steps, cost

    def step(self) -> None:
        time.sleep(self._cost)
        self.world.time += p.TIMESTEP
        self._left -= 1
        if self._left == 0:
            self.stop.set()

    def report(self, factor: float | None = None) -> SimReport:
        if factor is not None:
            self.factors.append(factor)
        return SimReport(time=self.world.time, factor=factor or 0.0, lost=self.lost)


def test_a_slow_machine_loses_real_time_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(p, "REPORT_PERIOD", 0.05)
    stub = Stub(steps=60, cost=0.01)
    began = time.monotonic()
    report = p.run(stub, 1.0, stub.stop)  # type: ignore[arg-type]
    assert report.time == pytest.approx(60 * 0.002)  # one step, one tick: simulated time did not jump
    behind = time.monotonic() - began - report.time
    assert behind - p.MAX_BACKLOG - 0.1 < report.lost < behind + 0.001
    assert max(stub.factors) < 0.5
    said = capsys.readouterr().err
    assert said.count("sim: too slow: ") == 1 and "of real time lost" in said


def test_a_fast_machine_waits_and_keeps_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    stub = Stub(steps=50, cost=0.0)
    began = time.monotonic()
    p.run(stub, 0.5, stub.stop)  # type: ignore[arg-type]
    assert time.monotonic() - began > 0.9 * 50 * 0.002 / 0.5 - p.MAX_BACKLOG
    assert capsys.readouterr().err == ""


def test_the_command_line_has_defaults_for_all_but_the_session() -> None:
    options = p.parser().parse_args(["--session", "x"])
    assert (options.domain, options.interface, options.base, options.variant) == (1, "lo", "stand", 5)
    assert (options.task, options.seed, options.rate) == ("touch", 0, 1.0)
    with pytest.raises(SystemExit):
        p.parser().parse_args([])
