"""What is wrong, where, and what to write instead: one shape for every stage."""

from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Place, Severity
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.outcome import Outcome

__all__ = ["Diagnostic", "ModelPath", "NexusError", "Outcome", "Place", "Severity"]
