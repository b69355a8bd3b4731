"""The room of the ticket recipe: parameters, jobs, the network (v2) and the classical system (v1)."""
