"""How a release is measured: queries, templates, providers."""
