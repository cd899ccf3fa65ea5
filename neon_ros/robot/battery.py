"""The battery's state, ``BmsState`` of ``unitree_hg`` on ``rt/lf/bmsstate``, as bytes.

Source of the layout: ``unitree_sdk2:include/unitree/idl/hg/BmsState_.hpp``, serialised as plain CDR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neon_ros.errors import ContractError, refuse
from neon_ros.robot.layout import CDR_LITTLE_ENDIAN

BATTERY_TOPIC = "rt/lf/bmsstate"
BMS_STATE = np.dtype(
    [
        ("header", "u1", 4),
        ("version", "u1", 3),  # high, low, function
        ("pad", "u1"),
        ("cell_voltage", "<u2", 40),  # [mV]
        ("voltage", "<u4", 3),
        ("current", "<i4"),
        ("soc", "u1"),  # [%] charge
        ("soh", "u1"),  # [%] health
        ("temperature", "<i2", 12),  # [deg C]
        ("cycle", "<u2"),
        ("manufacturer_date", "<u2"),
        ("pad2", "u1", 2),
        ("state", "<u4", 5),
        ("reserve", "<u4", 3),
    ]
)


@dataclass(frozen=True)
class Battery:
    """How the battery is.

    :param charge: 0 to 100 [%].
    :param health: 0 to 100 [%].
    :param temperature: hottest sensor [deg C].
    """

    charge: float
    health: float
    temperature: float


def decode_battery(payload: bytes | memoryview) -> Battery:
    """Read a BmsState payload.

    :raises ContractError: on a wrong length or header, or a charge above 100 %.
    """
    if len(payload) != BMS_STATE.itemsize:
        raise ContractError(refuse("BmsState length", f"{len(payload)} bytes", f"{BMS_STATE.itemsize} bytes"))
    if payload[:2] != CDR_LITTLE_ENDIAN[:2]:
        raise ContractError(refuse("BmsState CDR header", bytes(payload[:2]).hex(), CDR_LITTLE_ENDIAN[:2].hex()))
    record = np.frombuffer(payload, BMS_STATE)[0]
    charge = int(record["soc"])
    if charge > 100:
        raise ContractError(refuse("BmsState.soc", charge, "0 to 100 %"))
    return Battery(float(charge), float(record["soh"]), float(record["temperature"].max()))


def encode_battery(charge: int, health: int = 100, temperature: int = 30) -> bytes:
    """Return the payload of a battery, as a robot (or the simulator) writes it.

    :param charge: [%].
    :param health: [%].
    :param temperature: of all sensors [deg C].
    """
    record = np.zeros(1, BMS_STATE)
    record["header"] = tuple(CDR_LITTLE_ENDIAN)
    record["soc"], record["soh"], record["temperature"] = charge, health, temperature
    return record.tobytes()
