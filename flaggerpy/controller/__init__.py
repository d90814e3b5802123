"""The shell: kopf handlers, inbox, workers, the executor of effects, leader election."""
