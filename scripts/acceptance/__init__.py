"""The sections of scripts/gpu_acceptance.py: tests, parity, training and times on one device."""
