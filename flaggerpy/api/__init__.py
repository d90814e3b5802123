"""The three CRDs as typed models, and the names of generated objects."""
