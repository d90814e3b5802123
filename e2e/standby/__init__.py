"""Several replicas, several namespaces, several shards: who acts where, who takes over and when, and what a late write changes."""
