"""The program behind `make demo`: six releases of one application under continuous load, on a real Kubernetes."""
