"""Mosquitto: `acl_file` and `password_file`, and the JSON of its dynamic security plug-in."""
