"""What is released: data for data, the primary's manifests from the target's."""
