"""What flaggerpy costs and how fast it is, beside Flagger 1.44 in the same cluster: `python -m e2e.bench`."""
