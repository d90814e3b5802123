"""flaggerpy: a progressive-delivery controller for Kubernetes, a drop-in for Flagger's Canary API."""

__version__ = "0.1.0"
