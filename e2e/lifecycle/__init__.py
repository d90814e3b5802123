"""Tests of the sandbox tool itself: they boot and end sandboxes of their own, so they run outside of any (`make test-all`)."""
