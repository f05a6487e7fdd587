"""What exists beside the devices becomes part of a site: broker users and rules, topics, series. Count in, count out.

See docs/decisions/0110.
"""
