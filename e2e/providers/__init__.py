"""End-to-end suites of single providers, a file each, within a sandbox: `make test-providers`; CI runs it when their rooms change."""
