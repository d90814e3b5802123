"""Gates and webhooks: payloads as data, and the one call that sends them."""

from flaggerpy.hooks.calling import HookAnswer, call
from flaggerpy.hooks.payloads import checksum, event_payload, payload

__all__ = ["HookAnswer", "call", "checksum", "event_payload", "payload"]
