"""libmodbus as a Modbus TCP server that prints its port, or with the path of a serial line as a device on it.

Registers hold their own address times three, coils are on where the address is even; both can be written.
Source: libmodbus 3.1 manual pages (modbus_new_tcp, modbus_mapping_new, modbus_receive, modbus_reply).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import sys

COUNT = 200
MOST_BYTES = 260


class Mapping(ctypes.Structure):
    """`modbus_mapping_t` of modbus.h."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits", "nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers")),
        *((name, ctypes.c_int) for name in ("nb_registers", "start_registers")),
        *((name, ctypes.POINTER(ctypes.c_uint8)) for name in ("tab_bits", "tab_input_bits")),
        *((name, ctypes.POINTER(ctypes.c_uint16)) for name in ("tab_input_registers", "tab_registers")),
    )


def library() -> ctypes.CDLL:
    """libmodbus, with the types that are not int. Raises OSError when it is not there."""
    name = ctypes.util.find_library("modbus")
    if name is None:
        raise OSError("libmodbus is not installed")
    found = ctypes.CDLL(name, use_errno=True)
    found.modbus_new_tcp.restype = found.modbus_new_rtu.restype = ctypes.c_void_p
    found.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return found


def main() -> None:
    """Serve one connection after the other until killed."""
    modbus = library()
    mapping = modbus.modbus_mapping_new(COUNT, COUNT, COUNT, COUNT)
    for at in range(COUNT):
        mapping.contents.tab_registers[at] = mapping.contents.tab_input_registers[at] = at * 3
        mapping.contents.tab_bits[at] = mapping.contents.tab_input_bits[at] = at % 2 == 0
    if sys.argv[1:]:
        context = ctypes.c_void_p(modbus.modbus_new_rtu(sys.argv[1].encode(), 19_200, ctypes.c_char(b"N"), 8, 1))
        modbus.modbus_set_slave(context, 1)
        if modbus.modbus_connect(context) == -1:
            raise OSError(f"libmodbus can't open {sys.argv[1]}")
        print("ready", flush=True)
        _answer(modbus, context, mapping)
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    context = ctypes.c_void_p(modbus.modbus_new_tcp(b"127.0.0.1", port))
    listener = ctypes.c_int(modbus.modbus_tcp_listen(context, 4))
    if listener.value == -1:
        raise OSError("libmodbus can't listen")
    print(port, flush=True)
    while modbus.modbus_tcp_accept(context, ctypes.byref(listener)) != -1:
        _answer(modbus, context, mapping)
        modbus.modbus_close(context)


def _answer(modbus: ctypes.CDLL, context: ctypes.c_void_p, mapping: ctypes._Pointer[Mapping]) -> None:
    query = (ctypes.c_uint8 * MOST_BYTES)()
    while (length := modbus.modbus_receive(context, query)) != -1:
        if length > 0:
            modbus.modbus_reply(context, query, length, mapping)


if __name__ == "__main__":
    main()
