"""The simulator's shared memory between two sides, without a simulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("fastcrc")

from neon_ros.errors import ContractError, Refused, RobotError
from neon_ros.sim.faults import Faults
from neon_ros.sim.memory import SimClient, SimReport, SimServer
from neon_ros.sim.scene import SceneDescription

SESSION = "unit"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SimServer]:
    made = SimServer(SESSION, tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(server: SimServer, tmp_path: Path) -> SimClient:
    return SimClient(SESSION, folder=tmp_path)


def test_nothing_is_there_before_it_is_written(client: SimClient) -> None:
    assert client.scene() is None and client.state() is None
    assert client.report() == SimReport()


def test_what_is_written_is_read(server: SimServer, client: SimClient) -> None:
    scene = SceneDescription(task="none", machine=13)
    server.publish_scene(scene)
    before = time.monotonic_ns()
    server.publish_state(1.5, np.arange(50.0), -np.arange(47.0))
    assert client.scene() == (1, scene)
    state = client.state()
    assert state is not None and state.generation == 1 and state.time == 1.5
    assert before <= state.steady_ns <= time.monotonic_ns()
    np.testing.assert_array_equal(state.qpos, np.arange(50.0))
    np.testing.assert_array_equal(state.qvel, -np.arange(47.0))
    report = SimReport(time=2.0, factor=0.9, owner="ai", velocity=(0.1, 0.0, 0.0), counts={"lowcmd_taken": 3})
    server.publish_report(report)
    assert client.report() == report


def serve_once(server: SimServer, refusal: str = "") -> list:
    """Answer the next request from another thread; the list gets its content."""
    taken: list = []

    def serve() -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            request = server.take_request()
            if request is not None:
                taken.append(request[1])
                server.publish_report(SimReport(answered=request[0], refusal=refusal))
                return
            time.sleep(0.002)

    threading.Thread(target=serve, daemon=True).start()
    return taken


def test_faults_and_resets_are_requests_with_answers(server: SimServer, client: SimClient) -> None:
    taken = serve_once(server)
    faults = replace(Faults(), lowstate="frozen", tilt=0.3)
    assert client.inject(faults).answered == 1
    assert taken == [{"faults": asdict(faults)}]
    taken = serve_once(server)
    assert client.reset(12, robot=False).answered == 2
    assert taken == [{"reset": {"seed": 12, "purpose": "eval", "pairs": "trained", "robot": False}}]


def test_a_refusal_is_raised_with_its_reason(server: SimServer, client: SimClient) -> None:
    serve_once(server, refusal="scene seed: got -1; allowed: 0 or more")
    with pytest.raises(Refused, match="scene seed: got -1"):
        client.reset(-1)


def test_silence_is_an_error(server: SimServer, client: SimClient) -> None:
    with pytest.raises(RobotError, match=r"request to the simulator: got no answer in 0\.05 s; allowed: an answer"):
        client.inject(Faults(), timeout=0.05)


def test_a_request_is_taken_once(server: SimServer, client: SimClient) -> None:
    with pytest.raises(RobotError):
        client.inject(Faults(), timeout=0.0)
    assert server.take_request() is not None
    assert server.take_request() is None


def test_a_session_has_one_simulator(server: SimServer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"sim of session '{SESSION}'"):
        SimServer(SESSION, tmp_path)


def test_a_missing_simulator_is_named(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="simulator of session: got unit; allowed: none is running"):
        SimClient(SESSION, folder=tmp_path)


def test_a_client_may_wait_for_the_simulator(tmp_path: Path) -> None:
    made: list[SimServer] = []
    timer = threading.Timer(0.1, lambda: made.append(SimServer(SESSION, tmp_path)))
    timer.start()
    client = SimClient(SESSION, timeout=5.0, folder=tmp_path)
    timer.join()
    assert not client.removed
    made[0].close()
    assert client.removed


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{SESSION}.sim").write_bytes(b"something else")
    with pytest.raises(RobotError, match=r"unit\.sim: got another format; allowed: simulator memory, version 1"):
        SimClient(SESSION, folder=tmp_path)


def test_too_long_a_text_is_refused(server: SimServer) -> None:
    with pytest.raises(ContractError, match=r"report of the simulator: got .* bytes; allowed: at most 4096"):
        server.publish_report(SimReport(owner="x" * 5000))
