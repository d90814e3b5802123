"""How flaggerpy is shipped: the image (`python -m release.image`), what is pinned for it (`python -m release.pins`), a release
(`python -m release`). Not part of the program: nothing of it is in the wheel.
"""
