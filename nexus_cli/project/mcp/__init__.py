"""`nexus mcp`: the plant for agents, over the Model Context Protocol. One module a subject.

Read-only, but for `write`, which has to be allowed at the start. See docs/decisions/0083.
"""
