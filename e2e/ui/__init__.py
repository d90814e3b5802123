"""The web page in a real browser, fed by a real controller: `make test-ui`."""
