"""What people watch the controller with: alert rules, a dashboard, and the reference of the metrics. No part of the running controller."""
