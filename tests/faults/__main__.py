"""`python -m tests.faults` writes docs/flagger-faults.md."""

from tests.faults.marks import ROOT, marked
from tests.faults.page import page

(ROOT / "docs" / "flagger-faults.md").write_text(page(marked()))
