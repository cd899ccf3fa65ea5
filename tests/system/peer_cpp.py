"""The vendor's C++ SDK as a peer (far-unitree-sdk): reads LowState, writes LowCmd, prints what it read as JSON.

``peer_cpp.py DOMAIN SECONDS``: every joint to 0.5 rad with dq 0.25, kp 20, kd 1.5, tau 0.125.
"""

from __future__ import annotations

import json
import sys
import time

import unitree_interface

from neon_ros.motor.link import dds_config


def main() -> None:
    """Be a peer for some seconds."""
    domain, seconds = int(sys.argv[1]), float(sys.argv[2])
    # The binding always opens domain 0; on the network it shall appear on the test's own.
    config = dds_config("lo").replace("<Discovery>", f"<Discovery><ExternalDomainId>{domain}</ExternalDomainId>")
    robot = unitree_interface.UnitreeInterface(
        "lo", unitree_interface.RobotType.G1, unitree_interface.MessageType.HG, dds_config=config
    )
    command = robot.create_zero_command()
    for name, value in (("q_target", 0.5), ("dq_target", 0.25), ("kp", 20.0), ("kd", 1.5), ("tau_ff", 0.125)):
        setattr(command, name, [value] * 29)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = robot.read_low_state()
        if state.mode_machine:  # only then does it know what to echo
            robot.write_low_command(command)
        time.sleep(0.01)
    report = {
        "q": state.motor.q,
        "dq": state.motor.dq,
        "tau": state.motor.tau_est,
        "temperature": state.motor.temperature,
        "mode_machine": state.mode_machine,
        "quaternion": state.imu.quat,
        "gyroscope": state.imu.omega,
        "accelerometer": state.imu.accel,
    }
    print("REPORT " + json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
