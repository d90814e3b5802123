"""The scenarios of the bench: one file each, with a TITLE, a METHOD in words, and `run(rig)`, which gives figures of both controllers."""
