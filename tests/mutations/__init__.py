"""The most dangerous mistakes that the core could make, each made on purpose: the tests of rollout/ must notice every one."""
