"""The command line that asks something of the simulator."""

from __future__ import annotations

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("fastcrc")

from neon_ros.sim import ask as a
from neon_ros.sim.faults import Faults
from neon_ros.sim.memory import SimReport


class Client:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def inject(self, faults: Faults) -> SimReport:
        self.asked.append(faults)
        return SimReport(time=1.0)

    def reset(self, seed: int, purpose: str, pairs: str, robot: bool) -> SimReport:
        self.asked.append((seed, purpose, pairs, robot))
        return SimReport(time=2.0)

    def report(self) -> SimReport:
        return SimReport(time=3.0)


@pytest.mark.parametrize(
    ("line", "asked", "time"),
    [
        ("fault loss=0.1 lowstate=ok", Faults(loss=0.1), 1.0),
        ("heal", Faults(), 1.0),
        ("reset --seed 4", (4, "eval", "trained", True), 2.0),
        ("reset --seed 4 --purpose train --keep-robot", (4, "train", "trained", False), 2.0),
    ],
)
def test_each_word_asks_its_thing(line: str, asked: object, time: float) -> None:
    client = Client()
    options = a.parser().parse_args(["--session", "x", *line.split()])
    assert a.ask(client, options).time == time  # type: ignore[arg-type]
    assert client.asked == [asked]


def test_a_report_asks_nothing_of_the_robot() -> None:
    client = Client()
    assert a.ask(client, a.parser().parse_args(["--session", "x", "report"])).time == 3.0  # type: ignore[arg-type]
    assert client.asked == []


def test_without_a_simulator_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert a.main(["--session", "no-such-session", "heal"]) == 1
    assert "simulator of session: got no-such-session" in capsys.readouterr().err
