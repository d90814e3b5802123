"""Disorder made on purpose: dying at a write, an API server that misbehaves, clocks that step; and the scenarios that use it."""
