"""`flaggerpy lint`: what is wrong with Canaries and the objects around them, without a cluster."""
