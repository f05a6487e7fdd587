"""Modbus TCP and RTU. `plugin` joins the parts."""
