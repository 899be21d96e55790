"""`gpucnn explain`: the documents' calculations on small numbers, step by step.

Every number comes from gpucnn.reference, and each result is compared with the library's own.
"""
