"""Flagger's faults by number, and the tests that show them absent here: `python -m tests.faults` writes docs/flagger-faults.md."""
