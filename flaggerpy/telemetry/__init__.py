"""Logging and the exported Prometheus metrics."""
