"""The `cpu` device: NumPy and its BLAS, by the families of the contract."""
