"""The same scripted releases by Flagger 1.44 and by flaggerpy in one cluster, compared in everything that others can see of them."""
