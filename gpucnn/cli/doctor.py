"""Look at Python, NumPy, CuPy, the driver, the GPU and the compilers, and say what to mend."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def run(args: argparse.Namespace) -> int:
    """Print a line each; 1 where something that gpucnn cannot run without is broken."""
    from gpucnn.doctor import examine, healthy

    findings = examine()
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        print(f"{finding.topic:{width}}  {finding.status:7}  {finding.detail}")
        if finding.remedy:
            print(f"{'':{width}}  {'':7}  -> {finding.remedy}")
    return 0 if healthy(findings) else 1
