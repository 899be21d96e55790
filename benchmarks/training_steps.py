"""Time whole training steps on cpu or cuda beside PyTorch's, and the memory of their arrays.

    python benchmarks/training_steps.py [NAME:BATCH ...] [--device cuda] [--record]

A step is what a Trainer does with a batch: forward, loss, backward, a look for NaN, the update, and
reading the loss. The same config builds both networks, and they take turns, round after round, so
that what else the machine does meets all of them; a time is the median of the rounds' means.

On cpu both have one batch in memory, over and over. On a GPU gpucnn trains as a run does, with a
new batch each step, eagerly and as CUDA graphs. PyTorch is given its best: images on the device,
batches picked there, a fused optimizer, cudnn.benchmark, no waiting between steps; eager and as
CUDA graphs, without TF32 and with it, each contiguous and channels_last. A ratio above 1 means that
gpucnn is faster.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from machine import record, torch_on
from trainers import trainer

import gpucnn
from gpucnn.build.objects import Data, load_data
from gpucnn.config import Config, load_config
from gpucnn.errors import GpucnnError
from gpucnn.ops import Ops
from gpucnn.training.callbacks import Callback, Record
from gpucnn.training.trainer import Settings, Trainer

CONFIGS = Path(__file__).parent.parent / "configs"
RUNS = ("mnist_lenet:64", "mnist_lenet:512", "cifar10_resnet20:128")
STEPS = {"cpu": 1, "cuda": 50}
"""Of a round: on a GPU so many that its beginning and end count little."""
MODES = ("fp32", "fp32 channels_last", "tf32", "tf32 channels_last")

Round = Callable[[], float]
"""Does the steps of a round and returns the seconds of one."""


class Batch(NamedTuple):
    images: Any
    labels: Any
    indices: Any


class OneBatch:
    """A batch that is in memory already, as an epoch of `steps`."""

    def __init__(self, batch: Batch, steps: int):
        self.batch, self._steps = batch, steps

    def __len__(self) -> int:
        return self._steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter([self.batch] * (self._steps - start))


class Pause(Callback):
    """Ends a fit with its epoch; the next one goes on from there."""

    def on_epoch(self, trainer: Trainer, record: Record) -> None:
        trainer.request_stop("round")


class Gpucnn:
    """A Trainer that is let go on for an epoch at a time."""

    def __init__(
        self, config: Config, ops: Ops, data: Data, rounds: int, *, graph: bool, batches: Any = None
    ):
        settings = Settings(epochs=rounds + 1, cuda_graph=graph)  # one warms up
        self.trainer = trainer(config, ops, data, settings, [Pause()], batches=batches)

    def round(self) -> float:
        before = self.trainer.clock.training
        self.trainer.progress.stop = None
        self.trainer.fit()
        return (self.trainer.clock.training - before) / len(self.trainer.batches)


def synthetic(name: str, batch: int, steps: int) -> Config:
    """A config with made-up images of its model's size, `steps` batches of them."""
    path = CONFIGS / f"{name}.yaml"
    image = list(load_config(path).model.input)
    samples = max(10, steps * batch)  # one a class at least
    data = f"{{name: synthetic, samples: {samples}, image: {image}, batch_size: {batch}"
    return load_config(path, overrides=[f"data={data}, validation: 0}}"])


def variants(
    name: str, batch: int, ops: Ops, torch: Any, steps: int, rounds: int
) -> tuple[dict[str, Round], Trainer]:
    """What takes turns, by name, and the trainer whose memory is told."""
    config = synthetic(name, batch, steps)
    data = load_data(config)
    first = next(iter(data.train.epoch(0)))
    if ops.name == "cpu":
        ours = Gpucnn(config, ops, data, rounds, graph=False, batches=OneBatch(first, steps))
        found: dict[str, Round] = {"gpucnn": ours.round}
        if torch is not None:
            found["torch"] = torch_round(torch, config, first, "cpu", steps)
        return found, ours.trainer
    eager, ours = (Gpucnn(config, ops, data, rounds, graph=graph) for graph in (False, True))
    found = {"gpucnn_eager": eager.round, "gpucnn_graph": ours.round}
    if torch is not None:
        for kind in ("eager", "graph"):
            for mode in MODES:
                torch_steps = torch_round(
                    torch, config, first, "cuda", steps, mode=mode, graph=kind == "graph"
                )
                found[f"torch_{kind}_{mode.replace(' ', '_')}"] = torch_steps
    return found, ours.trainer


def torch_round(
    torch: Any, config: Config, batch: Batch, device: str, steps: int, **how: Any
) -> Round:
    """A round of PyTorch's steps; on a GPU each has a batch of its own out of a set there."""
    from torch_steps import TorchSteps

    size, on_gpu = len(batch.labels), device == "cuda"
    copies = steps if on_gpu else 1
    images = torch.from_numpy(np.tile(batch.images, (copies, 1, 1, 1))).to(device)
    labels = torch.from_numpy(np.tile(batch.labels, copies)).long().to(device)
    training = TorchSteps(config, images, labels, **how)
    wait = torch.cuda.synchronize if on_gpu else lambda: None

    def torch_steps() -> float:
        training.use_mode()
        wait()
        start = perf_counter()
        order = torch.randperm(len(labels), device=device).split(size) if on_gpu else [None] * steps
        for indices in order:
            training.step(indices)
        wait()
        return (perf_counter() - start) / steps

    return torch_steps


def measure(rounds_of: dict[str, Round], rounds: int) -> dict[str, Any]:
    """NAME_ms of a step and NAME_quartiles_ms over `rounds`, after one that warms up."""
    for once in rounds_of.values():
        once()
    times: dict[str, list[float]] = {name: [] for name in rounds_of}
    for _ in range(rounds):
        for name, once in rounds_of.items():
            times[name].append(1e3 * once())
    row: dict[str, Any] = {}
    for name, ms in times.items():
        row[f"{name}_ms"] = median(ms)
        row[f"{name}_quartiles_ms"] = quantiles(ms, n=4)[::2]
    return row


def ratios(row: dict[str, Any]) -> dict[str, float]:
    """PyTorch's time over ours, by what of PyTorch's: the faster of its two layouts."""
    if "torch_ms" in row:
        return {"ratio": row["torch_ms"] / row["gpucnn_ms"]}
    found = {}
    for kind in ("eager_fp32", "eager_tf32", "graph_fp32", "graph_tf32"):
        layouts = (f"torch_{kind}_ms", f"torch_{kind}_channels_last_ms")
        if layouts[0] in row:
            found[f"torch_{kind}_ratio"] = min(row[key] for key in layouts) / row["gpucnn_graph_ms"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="NAME:BATCH", help=f"default: {' '.join(RUNS)}")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--against", choices=("torch", "none"), help="default: torch where it is installed"
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, help="of a round (default: cpu 1, cuda 50)")
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    args = parser.parse_args()
    try:
        ops = gpucnn.get_ops(args.device)
        torch = torch_on(ops, args.against)
    except GpucnnError as error:
        parser.error(str(error))
    steps = args.steps or STEPS[args.device.partition(":")[0]]
    rows = []
    for run in args.runs or RUNS:
        name, _, size = run.partition(":")
        batch = int(size)
        found, ours = variants(name, batch, ops, torch, steps, args.rounds)
        row = {"config": name, "batch": batch, **measure(found, args.rounds)}
        row |= ratios(row)
        row["peak_mib"] = ours.arena.size / 2**20
        row["graph_replays"] = ours.steps.replays
        rows.append(row)
        print(f"{name}, batch {batch}, memory of a step's arrays {row['peak_mib']:.1f} MiB")
        for each in found:
            print(f"  {each:30} {row[f'{each}_ms']:9.3f} ms")
        for each in (key for key in row if key.endswith("ratio")):
            print(f"  {each:30} {row[each]:9.2f}", flush=True)
    if args.record:
        print(record("training_steps", {"rows": rows}, ops=ops))


if __name__ == "__main__":
    main()
