"""What a device or another tool's file offers → proposed tags → edits of the site file."""
