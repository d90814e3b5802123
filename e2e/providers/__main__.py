"""`python -m e2e.providers` writes docs/providers.md."""

from e2e.providers.table import PAGE, page, proven

PAGE.write_text(page(proven()))
