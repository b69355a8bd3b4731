"""The pipelines: the lifecycle, the embedded runner that draws its progress, and the compiler for a cluster."""
