"""Whether an image can be had: names, pull secrets, the conversation with a registry, and what its answers come to. Data for data.

`asking` carries a conversation out over `flaggerpy.http`; everything else knows neither network nor clock.
"""
