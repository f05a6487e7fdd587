"""The HTTP routes of the role web, behind one guard."""
