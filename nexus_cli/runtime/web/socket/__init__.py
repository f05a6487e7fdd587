"""The WebSocket of the role web: values, counts, events and messages as they change, and writing.

Who watches costs those who do not read fast enough nothing: each client has one message under way, and what changes
meanwhile is sent as its newest value. See docs/websocket.md and docs/decisions/0079.
"""
