"""Print the JSON schema of a config, for editors that complete and check YAML."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from gpucnn.config import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0
