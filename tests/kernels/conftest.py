"""Prints the table of planted faults and of what caught each."""

import pytest

PLANTED = "planted fault"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == PLANTED
    ]
    if not rows:
        return
    terminalreporter.section(f"{len(rows)} planted faults caught")
    terminalreporter.write_line(f"{'file':28} {'fault':52} caught by")
    for kernel, fault, caught_by in sorted(rows):
        terminalreporter.write_line(f"{kernel:28} {fault:52} {caught_by}")
