"""How traffic is split: one file per provider."""
