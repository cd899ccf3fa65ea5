"""``python -m neon_ros.sim.ask``: make the running simulator misbehave, lay out another scene, or say how it is.

.. code-block:: text

    python -m neon_ros.sim.ask --session neon fault lowstate=frozen tilt=0.3
    python -m neon_ros.sim.ask --session neon heal
    python -m neon_ros.sim.ask --session neon reset --seed 7
    python -m neon_ros.sim.ask --session neon report
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields

from neon_ros.errors import NeonError
from neon_ros.sim.faults import Faults
from neon_ros.sim.memory import SimClient, SimReport
from neon_ros.sim.table import PURPOSES
from neon_ros.sim.things import PAIR_SETS


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    out = argparse.ArgumentParser(prog="neon_ros.sim.ask", description="Ask something of the running simulator.")
    out.add_argument("--session", required=True, help="session of the simulator")
    asks = out.add_subparsers(dest="ask", required=True)
    fault = asks.add_parser("fault", help="make these, and no others, the faults of the robot")
    fault.add_argument("words", nargs="+", metavar="NAME=VALUE", help=", ".join(item.name for item in fields(Faults)))
    asks.add_parser("heal", help="take all faults away")
    reset = asks.add_parser("reset", help="lay out another scene and start again")
    reset.add_argument("--seed", type=int, required=True)
    reset.add_argument("--purpose", choices=PURPOSES, default="eval")
    reset.add_argument("--pairs", choices=PAIR_SETS, default="trained")
    reset.add_argument("--keep-robot", action="store_true", help="move the things only")
    asks.add_parser("report", help="say how the simulator is, as JSON")
    return out


def ask(client: SimClient, options: argparse.Namespace) -> SimReport:
    """Do what the command line says and return the simulator's report afterwards."""
    if options.ask == "fault":
        return client.inject(Faults.from_words(options.words))
    if options.ask == "heal":
        return client.inject(Faults())
    if options.ask == "reset":
        return client.reset(options.seed, options.purpose, options.pairs, robot=not options.keep_robot)
    return client.report()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask once, print the simulator's report as JSON, return 0; 1 with a reason when it could not be done."""
    options = parser().parse_args(arguments)
    try:
        report = ask(SimClient(options.session), options)
    except NeonError as error:
        print(f"sim: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
