"""What is used of the asyncio client of the package `kubernetes`, loaded without its synchronous twin (flaggerpy/lean.py)."""

from flaggerpy import lean

lean.bare("kubernetes")
with lean.without("kubernetes.client"):
    from kubernetes.aio import config as config
    from kubernetes.aio.client.api_client import ApiClient as ApiClient
    from kubernetes.aio.client.configuration import Configuration as Configuration
    from kubernetes.aio.client.rest import RESTClientObject as RESTClientObject
    from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME as SERVICE_HOST_ENV_NAME
    from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME as SERVICE_TOKEN_FILENAME
