"""The functional core: it decides; no I/O, no clock, no randomness, no logging, no async.

`decide(canary, status, facts, now)` in `decide.py` is the one entrance.
"""
