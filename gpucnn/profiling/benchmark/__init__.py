"""Every method of the contract over a table of shapes: checked, timed, and beside PyTorch."""
