"""Siemens S7. `plugin` joins the parts."""
