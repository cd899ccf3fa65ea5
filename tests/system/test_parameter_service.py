"""Run-time sets over the ROS service: a running ``g1_command`` refuses every one, and its values stay."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters, SetParametersAtomically

from neon_ros.parameters import G1CommandParameters

pytestmark = pytest.mark.system
NAMES = [item.name for item in fields(G1CommandParameters)]
CALLS, EACH = 40, 100


def anything(rng: np.random.Generator) -> ParameterValue:
    """Return a value of any type."""
    kind = int(rng.integers(10))
    value = ParameterValue(type=kind)
    if kind == ParameterType.PARAMETER_BOOL:
        value.bool_value = bool(rng.integers(2))
    elif kind == ParameterType.PARAMETER_INTEGER:
        value.integer_value = int(rng.choice([0, 1, -1, 2**62, -(2**62), 50]))
    elif kind == ParameterType.PARAMETER_DOUBLE:
        value.double_value = float(rng.choice([0.0, 50.0, 1e300, -1.0, np.nan, np.inf]))
    elif kind == ParameterType.PARAMETER_STRING:
        value.string_value = str(rng.choice(["", "sim", "real", "whole_body", "x" * 10_000]))
    elif kind == ParameterType.PARAMETER_BYTE_ARRAY:
        value.byte_array_value = [bytes([int(b)]) for b in rng.integers(0, 256, 5)]
    elif kind == ParameterType.PARAMETER_DOUBLE_ARRAY:
        value.double_array_value = rng.normal(size=4).tolist()
    elif kind == ParameterType.PARAMETER_STRING_ARRAY:
        value.string_array_value = ["a", ""]
    return value


def ask(peer: Any, kind: Any, service: str, request: Any) -> Any:
    """Call a service of the node."""
    client = peer.node.create_client(kind, f"g1_command/{service}")
    peer.until(client.service_is_ready, service)
    future = client.call_async(request)
    peer.until(future.done, f"answer of {service}")
    peer.node.destroy_client(client)
    return future.result()


def values_of(peer: Any) -> list[Any]:
    """Return the node's values, in the order of their names."""
    return list(ask(peer, GetParameters, "get_parameters", GetParameters.Request(names=NAMES)).values)


def test_no_parameter_of_g1_command_changes_at_run_time(peer: Any, running: Any, ros_domain: int) -> None:
    words = (
        "--ros-args",
        "-p",
        f"session:=test_set_{ros_domain}",
        "-p",
        "mode:=arms_only",
        "-p",
        "autoactivate:=false",
    )
    rng = np.random.default_rng(39)
    with running("neon_ros.nodes.g1_command", *words) as node:
        before = values_of(peer)
        assert len(before) == len(NAMES) and all(value.type for value in before)
        for _ in range(CALLS):
            wanted = [Parameter(name=str(rng.choice(NAMES)), value=anything(rng)) for _ in range(EACH)]
            results = ask(peer, SetParameters, "set_parameters", SetParameters.Request(parameters=wanted)).results
            assert len(results) == EACH
            for parameter, result in zip(wanted, results, strict=True):
                assert not result.successful, f"{parameter.name} was set"
                assert result.reason, "and says why"
        one = [Parameter(name="rate", value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=10.0))]
        answer = ask(peer, SetParametersAtomically, "set_parameters_atomically",
                     SetParametersAtomically.Request(parameters=one))  # fmt: skip
        assert not answer.result.successful
        strange = [Parameter(name="no_such", value=ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True))]
        results = ask(peer, SetParameters, "set_parameters", SetParameters.Request(parameters=strange)).results
        assert not results[0].successful
        assert values_of(peer) == before
        listed = ask(peer, ListParameters, "list_parameters", ListParameters.Request()).result.names
        assert "no_such" not in listed and set(NAMES) <= set(listed)
        assert node.end() == 0
        assert "Traceback" not in node.text
