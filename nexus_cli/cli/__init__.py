"""The command line: arguments, one call on `project`, one view, an exit code."""
