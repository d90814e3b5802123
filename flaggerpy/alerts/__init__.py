"""Notifiers: payloads as data."""
