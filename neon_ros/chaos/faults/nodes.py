"""The ROS side is abused: F31, F35."""

from __future__ import annotations

import time
from contextlib import suppress

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import Bench, fault
from neon_ros.chaos.rig import Rig
from neon_ros.errors import NeonError


@fault("F31", "a publisher of another type or QoS on action_chunk", "arming refused, event reported")
def unfit_publisher(rig: Rig, bench: Bench) -> None:
    """Open one beside the policy and try to arm."""
    rig.inactive()
    stranger = rig.start("stranger")
    for kind in ("type", "qos"):
        moment = time.monotonic_ns()
        stranger.ask(foreign=kind)
        try:
            rig.until(lambda: not rig.arm()["success"], "a refusal", 5.0)
            bench.took(f"arming refused, other {kind}", moment, time.monotonic_ns(), 1.0)
            time.sleep(0.2)
            bench.exactly("ARMING or ACTIVE", rig.state() in ("ARMING", "ACTIVE"), 0)
        finally:
            stranger.ask(foreign="")
            with suppress(NeonError):
                rig.inactive()
    stranger.kill()
    rig.children.pop("stranger")


@fault("F35", "lifecycle abuse: random transitions of g1_command, several at once", "never ARMING or ACTIVE by itself")
def abused(rig: Rig, bench: Bench) -> None:
    """Walk at random through the lifecycle while the policy goes on."""
    mark = rig.mark()
    rig.peer.ask(walk=12, seed=bench.chance.randrange(2**31))
    time.sleep(0.5)
    states = reactions.states_after(rig.records(mark), 0)
    left = next((index for index, state in enumerate(states) if state != "ACTIVE"), len(states))
    bench.exactly("ARMING or ACTIVE without an operator", sum(s in ("ARMING", "ACTIVE") for s in states[left:]), 0)
    bench.exactly("processes that ended", sum(not rig.children[name].alive for name in ("g1_command", "motor")), 0)
    for label in ("configure", "activate"):
        rig.peer.ask(transition=label)
