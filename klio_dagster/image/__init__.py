"""What remote workers are given: pinned wheels, the project's code, a Dockerfile around them.

Knows what is installed and what a worker's environment is (`engine.limits`); never Dagster or Beam,
nor how a project is found, which is `cli`'s business.
"""
