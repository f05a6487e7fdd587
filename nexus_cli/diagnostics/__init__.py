"""Findings: a fault, its place, and a hint; one type for every stage."""

from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Place, Severity
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.outcome import Outcome

__all__ = ["Diagnostic", "ModelPath", "NexusError", "Outcome", "Place", "Severity"]
