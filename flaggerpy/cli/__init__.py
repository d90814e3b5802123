"""The flaggerpy command: what a person on call and a pipeline type."""
