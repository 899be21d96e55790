"""gpucnn/profiling/benchmark."""
