"""The command on a real terminal: what people see, and how they leave."""
