"""The routes, one file per topic; each has a ``router``."""
