"""The role control: desired state, deployments, sequences, alerts and the HTTP API. `control` joins them."""
