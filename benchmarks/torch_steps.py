"""Training steps in PyTorch on images that lie on the device: eager, or as CUDA graphs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch_networks import torch_loss, torch_network, torch_optimizer

from gpucnn.config import Config
from gpucnn.profiling.benchmark.torch_calls import use_mode

EAGER_FIRST = 3
"""Steps on a size of batch before it is captured: cuDNN tries its algorithms in them."""


@dataclass
class _Size:
    """What a graph of a size of batch reads, and how often that has been trained on."""

    indices: torch.Tensor
    done: int = 0
    replay: Callable[[], None] | None = None


class TorchSteps:
    """A config's network in training.

    images: float32 (N, C, H, W), as the network takes them, labels: int64 (N,), both of `device`,
    where a step picks its batch by `indices` and leaves its loss: the host never waits. `mode` is
    one of gpucnn.profiling.benchmark.torch_calls.MODES: TF32 or not, contiguous or channels_last.
    `graph` launches whole steps as CUDA graphs, each size of batch after EAGER_FIRST eager steps.
    """

    def __init__(
        self,
        config: Config,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        mode: str = "fp32",
        graph: bool = False,
    ):
        last = mode.endswith("channels_last")
        self._format = torch.channels_last if last else torch.contiguous_format
        self._images = images.contiguous(memory_format=self._format)
        self._labels, self._mode, self._graph = labels, mode, graph
        network = torch_network(config.model.layers, tuple(config.model.input))
        self.network = network.to(images.device).to(memory_format=self._format)
        self._loss = torch_loss(config)
        on_gpu = images.device.type == "cuda"
        self._optimizer = torch_optimizer(
            config, self.network.parameters(), on_gpu=on_gpu, graph=graph
        )
        self._sizes: dict[int, _Size] = {}
        self.replays = 0
        """How many steps were launched as a graph."""

    def use_mode(self) -> None:
        """Make the mode PyTorch's, which has one for all that it runs: before a row of steps."""
        use_mode(torch, self._mode)

    def set_lr(self, lr: float) -> None:
        """The rate of the steps from here on."""
        for group in self._optimizer.param_groups:
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def step(self, indices: torch.Tensor | None = None) -> None:
        """Forward, backward and update on the images at `indices`, or on all where they lie."""
        if not self._graph or indices is None:
            self._work(indices)
            return
        size = self._sizes.setdefault(len(indices), _Size(indices.clone()))
        size.indices.copy_(indices)
        if size.done < EAGER_FIRST:
            aside(lambda: self._work(size.indices))
        else:
            if size.replay is None:
                size.replay = captured(lambda: self._work(size.indices))
            size.replay()
            self.replays += 1
        size.done += 1

    def accuracy(self, images: torch.Tensor, labels: torch.Tensor, *, at_once: int = 1000) -> float:
        """The share of `images` that the network gives their label; waits for the device."""
        self.network.eval()
        right = 0
        with torch.no_grad():
            for x, label in zip(images.split(at_once), labels.split(at_once), strict=True):
                y = self.network(x.contiguous(memory_format=self._format))
                right += int((y.argmax(1) == label).sum())
        self.network.train()
        return right / len(labels)

    def _work(self, indices: torch.Tensor | None) -> None:
        x, labels = self._images, self._labels
        if indices is not None:
            x = x.index_select(0, indices).contiguous(memory_format=self._format)
            labels = labels.index_select(0, indices)
        # Before forward and not behind the update: what is captured makes its own gradients.
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.network(x), labels)
        loss.backward()
        self._optimizer.step()
        self.loss: Any = loss.detach()


def aside(work: Callable[[], None]) -> None:
    """Do `work` on a stream of its own, as PyTorch asks of what is captured later."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)


def captured(work: Callable[[], None]) -> Callable[[], None]:
    """What `work` launches as one CUDA graph, to be launched by a call."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
