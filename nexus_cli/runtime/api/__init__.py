"""What the HTTP APIs of control and web share: which right a route needs, callers, bodies, errors, the guard before them."""
