"""TwinCAT symbol files."""
