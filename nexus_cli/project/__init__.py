"""The verbs, joined: the only place where stages meet. One file per verb: `nexus` loads the file of the
command that runs, so `validate` loads neither SQL nor MQTT."""
