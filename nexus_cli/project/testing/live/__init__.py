"""Tests of a site against simulators and a real runtime. See docs/decisions/0107."""
