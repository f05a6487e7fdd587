"""The verbs, joined: the only place where stages meet. Each verb imports its stages inside, so that `validate`
loads neither SQL nor MQTT and `nexus --help` is instant."""
