"""What remote workers are given: pinned wheels, the project's code, a Dockerfile around them."""
