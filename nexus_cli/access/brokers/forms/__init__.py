"""Each broker's renderers and readers as `brokers.registry` calls them: one module a broker, loaded when asked for."""
