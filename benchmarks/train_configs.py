"""Train configs as a user would, and record accuracy and time of each.

python benchmarks/train_configs.py configs/digits_lenet.yaml ... [--record]
"""

import argparse
import tempfile
from pathlib import Path

from machine import RESULTS, record

from gpucnn.build import train
from gpucnn.config import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    args = parser.parse_args()
    for path in args.configs:
        with tempfile.TemporaryDirectory() as folder:
            summary = train(load_config(path, output=f"{folder}/run"))
        figures = summary.to_json()
        print(path, figures, flush=True)
        if args.record:
            record(f"train {path.stem}", figures, None)
    if args.record:
        print(f"recorded in {RESULTS}")


if __name__ == "__main__":
    main()
