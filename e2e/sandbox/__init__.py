"""A real Kubernetes in a network namespace, without Docker: the cluster behind `make test`, `make demo` and `make bench`.

sandbox = Sandbox("mine"); sandbox.up(); sandbox.run("kubectl", "get", "nodes"); sandbox.down()
"""

from e2e.sandbox.build import BuildError
from e2e.sandbox.cluster import Sandbox
from e2e.sandbox.images import Image
from e2e.sandbox.processes import NotReady

__all__ = ["BuildError", "Image", "NotReady", "Sandbox"]
