"""What people watch releases with, on real programs: promtool, Prometheus, kubectl, an OTLP receiver."""
