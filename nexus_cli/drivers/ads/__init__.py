"""Beckhoff ADS. `plugin` joins the parts."""
