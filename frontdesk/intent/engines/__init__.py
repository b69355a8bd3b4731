"""What computes EvGen's scores: `eager` (torch, the reference) and `arrays` (NumPy, what is served)."""
