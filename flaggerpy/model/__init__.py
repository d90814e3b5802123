"""A model of the world around a Canary, for the real core: tests explore it, `flaggerpy simulate` plays it. No I/O, clock or randomness."""
