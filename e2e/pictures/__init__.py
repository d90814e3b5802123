"""Pictures for the docs, made of real releases on the sandbox by real programs: `python -m e2e.pictures` (in a sandbox)."""
