"""Canaries that change hands between a live Flagger 1.44 and flaggerpy, in both directions."""
