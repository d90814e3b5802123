"""Argo Rollouts to Canaries: `flaggerpy convert`. Pure: objects in, objects and a report out."""
