"""OPC UA. `plugin` joins the parts."""
