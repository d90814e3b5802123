"""Gates and webhooks: payloads as data."""
