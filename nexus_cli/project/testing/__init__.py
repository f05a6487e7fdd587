"""Tests of a site: what a device holds, and what has to come of it. See docs/decisions/0107."""
