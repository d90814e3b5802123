"""The core of the end-to-end suite: it runs inside a sandbox (`make test` boots one), everything waits for conditions with deadlines."""
