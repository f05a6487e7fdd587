"""Runtimes of these tests are forked, those of benchmarks are not."""

from __future__ import annotations

from tests.e2e.runtime import Runtime

Runtime.forked = True
