"""TIA Portal and STEP 7 sources."""
