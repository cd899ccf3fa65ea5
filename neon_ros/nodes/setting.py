"""Parameters that take a while to be set: the services answer when it is done, and the node goes on meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterType, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters

from neon_ros.errors import refuse

Change = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Takes the wanted values by name; what it awaits is (whether it was done, what to tell)."""
_SETTERS = {"set_parameters": SetParameters, "set_parameters_atomically": SetParametersAtomically}


class AwaitedParameters:
    """Serve the setting of parameters instead of rclpy, whose callbacks must answer at once.

    :param node: has declared them, as text.
    :param names: the parameters that take a while; in one request they are one change.
    :param change: makes the change; on success it has called :meth:`apply`.
    """

    def __init__(self, node: Node, names: Sequence[str], change: Change) -> None:
        self._node, self._names, self._change = node, tuple(names), change
        self._applying = False
        for service in [one for one in node.services if one.srv_name.rpartition("/")[2] in _SETTERS]:
            node.destroy_service(service)
        group = ReentrantCallbackGroup()  # a request that waits for its answer holds up nothing else
        for (name, kind), callback in zip(_SETTERS.items(), (self._each, self._together), strict=True):
            service = f"{node.get_name()}/{name}"
            node.create_service(kind, service, callback, qos_profile=qos_profile_parameters, callback_group=group)
        node.add_on_set_parameters_callback(self._in_place)

    def apply(self, values: Mapping[str, str]) -> None:
        """Set what has been changed."""
        self._applying = True
        try:
            self._node.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])
        finally:
            self._applying = False

    def _in_place(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        names = [parameter.name for parameter in parameters if parameter.name in self._names]
        if names and not self._applying:
            allowed = "a request to the node's services"
            return SetParametersResult(successful=False, reason=refuse(names[0], "a value set in the node", allowed))
        return SetParametersResult(successful=True)

    async def _each(self, request: Any, response: Any) -> Any:
        """Set each parameter for itself, but the slow ones as one."""
        slow = [item for item in request.parameters if item.name in self._names]
        outcome = await self._changed(slow) if slow else None
        for item in request.parameters:
            response.results.append(outcome if item.name in self._names else self._set([item]))
        return response

    async def _together(self, request: Any, response: Any) -> Any:
        """Set all parameters or none."""
        slow = [item for item in request.parameters if item.name in self._names]
        others = [item.name for item in request.parameters if item.name not in self._names]
        if slow and others:
            reason = refuse(
                "parameters set together", f"{slow[0].name} with {', '.join(others)}", ", ".join(self._names)
            )
            response.result = SetParametersResult(successful=False, reason=reason)
        else:
            response.result = await self._changed(slow) if slow else self._set(request.parameters)
        return response

    async def _changed(self, items: Sequence[Any]) -> SetParametersResult:
        for item in items:
            if item.value.type != ParameterType.PARAMETER_STRING:
                return SetParametersResult(successful=False, reason=refuse(item.name, "another type", "text"))
        done, said = await self._change({item.name: item.value.string_value for item in items})
        return SetParametersResult(successful=done, reason=said)

    def _set(self, items: Sequence[Any]) -> SetParametersResult:
        try:
            return self._node.set_parameters_atomically([Parameter.from_parameter_msg(item) for item in items])
        except ParameterNotDeclaredException as error:
            return SetParametersResult(successful=False, reason=str(error))
