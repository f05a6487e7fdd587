"""One file a command: arguments, one call on `project`, one view, an exit code."""
