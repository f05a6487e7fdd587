"""The drivers that the contract suite runs against their own simulators: one case each, nothing else to write."""

from __future__ import annotations

from tests.contract.case_ads import ADS, ads_connection, ads_device
from tests.contract.case_modbus import MODBUS, MODBUS_RTU, MODBUS_SERIAL, modbus_connection, modbus_device
from tests.contract.case_opcua import OPCUA, OPCUA_URI, opcua_device
from tests.contract.case_s7 import S7, s7_connection, s7_device
from tests.contract.driver_case import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase, constant

__all__ = [
    "ADS",
    "CASES",
    "CONNECT_TIMEOUT_MS",
    "MODBUS",
    "OPCUA",
    "OPCUA_URI",
    "S7",
    "TIMEOUT_MS",
    "DriverCase",
    "ads_connection",
    "ads_device",
    "constant",
    "modbus_connection",
    "modbus_device",
    "opcua_device",
    "s7_connection",
    "s7_device",
]

CASES: tuple[DriverCase, ...] = (MODBUS, MODBUS_RTU, MODBUS_SERIAL, OPCUA, ADS, S7)
