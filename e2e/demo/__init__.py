"""The program behind `make demo`: four releases of one application under continuous load, on a real Kubernetes."""
