"""The role web, for people and programs: live values, history, i3X, WebSocket and the page. Any number of them may run.

It keeps no state of its own that another one would need: what runs comes from the database, what is live from the broker,
and what changes anything goes to control or to a gateway under the caller's own rights.
"""
