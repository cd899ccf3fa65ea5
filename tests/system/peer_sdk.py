"""The vendor's Python SDK as a peer, with its own channels, clients and CRC: ``peer_sdk.py DOMAIN SECONDS``.

Reads LowState, writes LowCmd, asks the motion switcher and the walking controller; prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import unitree_sdk2py.core.channel as channel
from unitree_sdk2py.comm.motion_switcher.motion_switcher_client import MotionSwitcherClient
from unitree_sdk2py.g1.loco.g1_loco_client import LocoClient
from unitree_sdk2py.idl.default import unitree_hg_msg_dds__LowCmd_
from unitree_sdk2py.idl.unitree_hg.msg.dds_ import LowCmd_, LowState_
from unitree_sdk2py.utils.crc import CRC

from neon_ros.motor.link import dds_config


def main() -> None:
    """Be a peer for some seconds."""
    domain, seconds = int(sys.argv[1]), float(sys.argv[2])
    channel.ChannelConfigHasInterface = dds_config("lo")  # its own insists on multicast, which loopback lacks
    channel.ChannelFactoryInitialize(domain, "lo")
    states: list[Any] = []
    subscriber = channel.ChannelSubscriber("rt/lowstate", LowState_)
    subscriber.Init(states.append, 10)
    publisher = channel.ChannelPublisher("rt/lowcmd", LowCmd_)
    publisher.Init()
    command, crc = unitree_hg_msg_dds__LowCmd_(), CRC()
    command.mode_machine = 5
    for motor in command.motor_cmd[:29]:
        motor.mode, motor.q, motor.dq, motor.tau, motor.kp, motor.kd = 1, 0.5, 0.25, 0.125, 20.0, 1.5
    command.crc = crc.Crc(command)
    switcher, walker = MotionSwitcherClient(), LocoClient()
    for client in (switcher, walker):
        client.SetTimeout(5.0)
        client.Init()
    rpc = [switcher.CheckMode(), switcher.ReleaseMode(), switcher.CheckMode(), walker.SetVelocity(0.1, 0.2, 0.3)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        publisher.Write(command)
        time.sleep(0.01)
    state = states[-1]
    report = {
        "q": [motor.q for motor in state.motor_state[:29]],
        "mode_machine": state.mode_machine,
        "crc_right": all(crc.Crc(s) == s.crc for s in states[-5:]),
        "states": len(states),
        "rpc": rpc,
    }
    print("REPORT " + json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
