"""Notifiers: who is told, payloads as data, and the one call that sends them."""

from flaggerpy.alerts.payloads import Alert, Destination
from flaggerpy.alerts.routing import alert, destination, global_destination, provider_key, recipients
from flaggerpy.alerts.sending import Delivery, send

__all__ = ["Alert", "Delivery", "Destination", "alert", "destination", "global_destination", "provider_key", "recipients", "send"]
