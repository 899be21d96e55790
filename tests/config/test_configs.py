"""Every file in configs/ loads, and reloads from what is saved of it."""

from pathlib import Path

import pytest

from gpucnn.config import dump_config, load_config, parse_config

CONFIGS = sorted(
    path
    for path in (Path(__file__).parents[2] / "configs").glob("*.yaml")
    if path.stem != "benchmark_shapes"  # a table of shapes
)


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 8


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads_and_reloads(path: Path) -> None:
    config = load_config(path)
    assert config.output == f"runs/{path.stem}"
    assert parse_config(dump_config(config)) == config
