"""Alarms: conditions, states, holds, cascades, floods and key figures. Pure: values and times are the input.

`machine` is one alert, `panel` all alerts of a site. Control runs a panel on live values; `nexus validate --with-history` runs the
same one on stored values (`replay`). See docs/decisions/0087.
"""
