"""Independent oracles: plain loops over Python floats (float64), written from the formulas alone.

They import nothing of gpucnn. Tolerances are in `tolerance`.
"""
