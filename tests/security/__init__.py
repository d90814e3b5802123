"""Tests against people who mean harm: specs and answers that nobody would write in good faith."""
