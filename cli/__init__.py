"""The ``frontdesk`` command: `main` dispatches, one module per group of commands."""
