"""The `cuda` and `emulator` devices: shapes, grids and argument structs of the kernels.

All host arithmetic is here and shared; only the launcher differs (gpucnn/runtime).
"""
