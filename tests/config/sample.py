"""The config that the tests of this folder break in one place at a time."""

GOOD = """\
seed: 1
device: cpu
data: {name: mnist, batch_size: 32, augment: [horizontal_flip]}
model:
  input: [1, 28, 28]
  layers:
    - conv2d: {filters: 8, kernel_size: 3, padding: 1}
    - batch_norm2d
    - residual:
        body: [relu, {linear: {units: 4}}]
    - max_pool2d: {kernel_size: 2}
    - flatten
optimizer: {sgd: {lr: 0.1, momentum: 0.9, nesterov: true}}
schedule: {step: {step_epochs: 2}}
train: {epochs: 2, early_stopping: 3}
"""


def broken(old: str, new: str) -> str:
    """GOOD with one change."""
    assert GOOD.count(old) == 1, f"{old!r} is not there once"
    return GOOD.replace(old, new)
