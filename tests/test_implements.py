"""The decorator that ties code to the rows of docs/seeds.yaml."""

import pytest

from gpucnn.implements import implements


def test_a_function_is_marked_and_otherwise_left_alone() -> None:
    def double(x: int) -> int:
        return 2 * x

    marked = implements("A7", "S3:2.21")(double)
    assert marked is double
    assert double.__implements__ == ("A7", "S3:2.21")
    assert marked(3) == 6


def test_a_class_is_marked_and_its_subclass_has_no_mark_of_its_own() -> None:
    @implements("A9")
    class Pool: ...

    class Special(Pool): ...

    assert Pool.__implements__ == ("A9",)
    assert "__implements__" not in vars(Special)


def test_a_decorator_without_its_ids_is_refused() -> None:
    with pytest.raises(TypeError, match='takes ids as strings, as in @implements\\("A7"\\), got'):
        implements()
    with pytest.raises(TypeError, match="takes ids as strings"):

        @implements
        def bare() -> None: ...


def test_an_id_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="each id once, got A7, A7"):
        implements("A7", "A7")
