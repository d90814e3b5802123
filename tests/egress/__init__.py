"""Tests of where the controller may connect to."""
