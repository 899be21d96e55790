"""Schedules against PyTorch where they are equal, and against their formulas where not."""

from itertools import pairwise
from math import cos, pi
from typing import Any

import pytest

from gpucnn.errors import ConfigError
from gpucnn.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    Multistep,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
)

EPOCH, EPOCHS, BASE = 7, 6, 0.4
TOTAL = EPOCH * EPOCHS
# A rate is a product of a handful of factors and one cosine or power: a few dozen roundings of
# numbers no larger than the base rate, accumulated over TOTAL steps in PyTorch's recursions.
TOLERANCE = 64 * TOTAL * 2.0**-53 * BASE


def rates(schedule: Schedule) -> list[float]:
    return [schedule.lr(BASE, i, EPOCH, TOTAL) for i in range(TOTAL)]


def torch_rates(name: str, *, each: str, **options: Any) -> list[float]:
    """PyTorch's rates, its scheduler stepped each epoch or each iteration."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    result = []
    for i in range(TOTAL):
        result.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        last = i == TOTAL - 1
        if not last and (each == "iteration" or (i + 1) % EPOCH == 0):
            scheduler.step()
    return result


SAME_IN_TORCH: list[tuple[Schedule, str, str, dict[str, Any]]] = [
    (Constant(), "ConstantLR", "iteration", {"factor": 1}),
    (Step(step_epochs=2), "StepLR", "epoch", {"step_size": 2}),
    (Step(step_epochs=1, gamma=0.7), "StepLR", "epoch", {"step_size": 1, "gamma": 0.7}),
    (Multistep(milestones=[1, 4]), "MultiStepLR", "epoch", {"milestones": [1, 4]}),
    (
        Multistep(milestones=[3], gamma=0.5),
        "MultiStepLR",
        "epoch",
        {"milestones": [3], "gamma": 0.5},
    ),
    (Exponential(gamma=0.8), "ExponentialLR", "epoch", {"gamma": 0.8}),
    (Polynomial(), "PolynomialLR", "iteration", {"total_iters": TOTAL}),
    (Polynomial(power=2.5), "PolynomialLR", "iteration", {"total_iters": TOTAL, "power": 2.5}),
    (Cosine(), "CosineAnnealingLR", "iteration", {"T_max": TOTAL}),
    (
        Cosine(final_lr=0.1),
        "CosineAnnealingLR",
        "iteration",
        {"T_max": TOTAL, "eta_min": 0.1},
    ),
    (
        OneCycle(),
        "OneCycleLR",
        "iteration",
        {"max_lr": BASE, "total_steps": TOTAL, "final_div_factor": 400, "cycle_momentum": False},
    ),
    (
        OneCycle(peak_fraction=0.5, start_factor=0.1, final_factor=0.01),
        "OneCycleLR",
        "iteration",
        {
            "max_lr": BASE,
            "total_steps": TOTAL,
            "pct_start": 0.5,
            "div_factor": 10,
            "final_div_factor": 10,
            "cycle_momentum": False,
        },
    ),
]


@pytest.mark.parametrize(("schedule", "name", "each", "options"), SAME_IN_TORCH)
def test_rates_are_those_of_torch(
    schedule: Schedule, name: str, each: str, options: dict[str, Any]
) -> None:
    expected = torch_rates(name, each=each, **options)
    assert max(abs(a - b) for a, b in zip(rates(schedule), expected, strict=True)) <= TOLERANCE


def test_every_schedule_is_compared() -> None:
    assert {type(row[0]) for row in SAME_IN_TORCH} == set(SCHEDULES.values())


def test_formulas() -> None:
    t = 21 / TOTAL
    expected = {
        Constant(): BASE,
        Step(step_epochs=2): BASE * 0.1,
        Multistep(milestones=[1, 3, 5]): BASE * 0.01,
        Exponential(gamma=0.5): BASE / 8,
        Polynomial(power=2, final_lr=0.1): 0.1 + 0.3 * (1 - t) ** 2,
        Cosine(final_lr=0.1): 0.1 + 0.3 * (1 + cos(pi * t)) / 2,
    }
    for schedule, rate in expected.items():
        assert abs(schedule.lr(BASE, 21, EPOCH, TOTAL) - rate) <= TOLERANCE


def test_one_cycle_begins_peaks_and_ends_where_it_says() -> None:
    schedule = OneCycle(peak_fraction=0.5)  # the peak of 42 iterations at 0.5·42 - 1
    got = rates(schedule)
    assert abs(got[0] - 0.04 * BASE) <= TOLERANCE
    assert max(range(TOTAL), key=got.__getitem__) == 20
    assert got[20] == BASE
    assert abs(got[-1] - 1e-4 * BASE) <= TOLERANCE
    assert OneCycle(peak_fraction=0).lr(BASE, 0, EPOCH, TOTAL) == BASE
    assert OneCycle(peak_fraction=1).lr(BASE, TOTAL - 1, EPOCH, TOTAL) == BASE
    assert OneCycle().lr(BASE, 0, 1, 1) == BASE


EACH = {
    "constant": {},
    "step": {"step_epochs": 2},
    "multistep": {"milestones": [2, 4]},
    "exponential": {"gamma": 0.9},
    "polynomial": {},
    "cosine": {},
    "one_cycle": {},
}


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup_epochs", [1, 0.5, 2])
def test_warmup_is_a_straight_line_to_the_schedule(kind: str, warmup_epochs: float) -> None:
    got = rates(SCHEDULES[kind](**EACH[kind], warmup_epochs=warmup_epochs))
    w = round(warmup_epochs * EPOCH)
    for i in range(w):
        assert abs(got[i] - got[w] * (i + 1) / (w + 1)) <= TOLERANCE
    # What follows is the schedule: over the remaining iterations, or by the epoch from the start.
    plain = SCHEDULES[kind](**EACH[kind])
    for i in range(w, TOTAL):
        if kind in ("polynomial", "cosine", "one_cycle"):
            expected = plain.lr(BASE, i - w, EPOCH, TOTAL - w)
        else:
            expected = plain.lr(BASE, i, EPOCH, TOTAL)
        assert got[i] == expected


@pytest.mark.parametrize("kind", SCHEDULES)
def test_warmup_longer_than_the_training(kind: str) -> None:
    got = rates(SCHEDULES[kind](**EACH[kind], warmup_epochs=EPOCHS + 1))
    assert all(0 < a < b for a, b in pairwise(got))


@pytest.mark.parametrize("kind", SCHEDULES)
def test_proportional_to_the_base_rate_and_pure(kind: str) -> None:
    schedule = SCHEDULES[kind](**EACH[kind])
    assert rates(schedule) == rates(schedule)
    for i in (0, 5, TOTAL - 1, TOTAL, 3 * TOTAL):
        single, double = schedule.lr(1.0, i, EPOCH, TOTAL), schedule.lr(2.0, i, EPOCH, TOTAL)
        assert double == 2 * single >= 0
    assert schedule.lr(0.0, 3, EPOCH, TOTAL) == 0


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("constant", {"warmup_epochs": -1}, "warmup_epochs must be >= 0"),
        ("step", {"step_epochs": 0}, "step_epochs must be >= 1"),
        ("step", {"step_epochs": 1.5}, "step_epochs must be an integer"),
        ("step", {"step_epochs": 1, "gamma": -1}, "gamma must be >= 0"),
        ("multistep", {"milestones": []}, "milestones must be a list of epochs"),
        ("multistep", {"milestones": 3}, "milestones must be a list of epochs, got 3"),
        ("multistep", {"milestones": "30"}, "milestones must be a list of epochs"),
        ("multistep", {"milestones": [2, 2]}, "milestones must increase"),
        ("multistep", {"milestones": [4, 2]}, "milestones must increase"),
        ("multistep", {"milestones": [0, 2]}, r"milestones\[0\] must be >= 1"),
        ("exponential", {"gamma": "x"}, "gamma must be a number"),
        ("polynomial", {"power": -1}, "power must be >= 0"),
        ("cosine", {"final_lr": -1}, "final_lr must be >= 0"),
        ("one_cycle", {"peak_fraction": 1.1}, "peak_fraction must be >= 0 and <= 1"),
        ("one_cycle", {"start_factor": -1}, "start_factor must be >= 0"),
        ("one_cycle", {"final_factor": float("inf")}, "final_factor must be"),
    ],
)
def test_options_are_checked(kind: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SCHEDULES[kind](**options)


@pytest.mark.parametrize("counts", [(-1, 1, 1), (0, 0, 1), (0, 1, 0), (0.5, 1, 1)])
def test_counts_are_checked(counts: tuple) -> None:
    with pytest.raises(ConfigError):
        Constant().lr(BASE, *counts)
