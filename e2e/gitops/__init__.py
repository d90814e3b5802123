"""Argo CD, Flux and Helm beside releases, by their own code: `make test-gitops`, docs/gitops.md."""
