"""The functional core: it decides; no I/O, no clock, no randomness, no logging, no async."""
