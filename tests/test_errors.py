"""The errors' family and their exit statuses."""

import inspect

import pytest

from gpucnn import errors

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_a_gpucnn_error(cls: type[errors.GpucnnError]) -> None:
    """2 is the user's mistake; a kernel or a number gone wrong is a fault, 1."""
    assert issubclass(cls, errors.GpucnnError)
    faults = (errors.KernelError, errors.NonFiniteError)
    assert cls.exit_status == (1 if cls in faults else 2)
    assert str(cls("what to do")) == "what to do"


def test_wrong_values_are_value_errors_too() -> None:
    """So that code which knows nothing of gpucnn can catch them."""
    for cls in (errors.ConfigError, errors.ShapeError):
        assert issubclass(cls, ValueError)
