"""The rehearsal of a quarter: a simulated desk in front of the real gateway, model servers, monitor and lifecycle."""
