"""4 plan: desired snapshot against recorded one: changes, impact, hazards, and the steps of a deployment (`stages`)."""
