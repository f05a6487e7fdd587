"""The field side of a gateway: links, their supervisors, polling and subscriptions."""
