"""Watching: two tables of one recipe are compared, and the verdict names what changed, worst first."""
