"""The building blocks of the config models: what a value is expected to be, and named choices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gpucnn.config.messages import Path, listed, quoted, spell, suggest

INT32_MAX = 2**31 - 1


def refuse(text: str, *, at: Path = (), key: bool = False) -> PydanticCustomError:
    """The error to raise inside a validator; `at` is the path below the validated value.

    With `key`, the message points at the key instead of its value.
    """
    return PydanticCustomError("refused", "{text}", {"text": text, "at": at, "key": key})


@dataclass(frozen=True)
class Expects:
    """Annotation: whatever is wrong with a value is said in this one sentence.

    `names` are the known values from which the nearest is suggested.
    """

    text: str
    names: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self.check, handler(source))

    def check(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise refuse(
                f"expected {self.text}, got {spell(value)}{suggest(value, self.names)}"
            ) from None


class OneOf:
    """Annotation of a str: one of a few names."""

    def __init__(self, *names: str):
        self.names = names

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        expects = Expects(f"one of {listed(self.names)}", self.names)
        literal = core_schema.literal_schema(list(self.names))
        return core_schema.no_info_wrap_validator_function(expects.check, literal)


PositiveInt = Annotated[
    int, Field(ge=1, le=INT32_MAX), Expects(f"an integer from 1 to {INT32_MAX}")
]
BatchSize = Annotated[
    Annotated[int, Field(ge=1, le=INT32_MAX)] | Literal["all"],
    Expects(f"an integer from 1 to {INT32_MAX}, or all", ("all",)),
]
NaturalInt = Annotated[int, Field(ge=0, le=INT32_MAX), Expects(f"an integer from 0 to {INT32_MAX}")]
Bool = Annotated[bool, Expects("true or false", ("true", "false"))]
BoolOrAuto = Annotated[
    bool | Literal["auto"],
    Expects("auto, true or false", ("auto", "true", "false")),
]
Number = Annotated[float, Expects("a finite number")]
Positive = Annotated[float, Field(gt=0), Expects("a number > 0")]
NonNegative = Annotated[float, Field(ge=0), Expects("a number >= 0")]
Rate = Annotated[float, Field(ge=0, lt=1), Expects("a number in [0, 1)")]
Probability = Annotated[float, Field(ge=0, le=1), Expects("a number from 0 to 1")]
Fraction = Annotated[float, Field(gt=0, lt=1), Expects("a number between 0 and 1, both excluded")]
# NUL is the one character that no file name can hold.
FilePath = Annotated[str, Field(pattern=r"^[^\x00]+$"), Expects("a path")]
ImageShape = Annotated[
    list[Annotated[int, Field(ge=1, le=INT32_MAX)]],
    Field(min_length=3, max_length=3),
    Expects("[channels, height, width], integers >= 1"),
]
Text = Annotated[str, Field(min_length=1), Expects("a text that is not empty")]

_One = Annotated[int, Field(ge=1, le=INT32_MAX)]
_Zero = Annotated[int, Field(ge=0, le=INT32_MAX)]
_ZeroPair = Annotated[list[_Zero], Field(min_length=2, max_length=2)]
_OnePair = Annotated[list[_One], Field(min_length=2, max_length=2)]
_Sides = Annotated[list[_ZeroPair], Field(min_length=2, max_length=2)]

Pair = Annotated[_One | _OnePair, Expects("an integer >= 1 or a pair [height, width] of them")]
OptionalPair = Annotated[
    _One | _OnePair | None,
    Expects("an integer >= 1, a pair [height, width] of them or null (the kernel size)"),
]
NaturalPair = Annotated[_Zero | _ZeroPair, Expects("an integer >= 0 or a pair [height, width]")]
PoolPadding = Annotated[
    _Zero | _ZeroPair | _Sides,
    Expects("an integer >= 0, a pair [height, width] or [[top, bottom], [left, right]]"),
]
ConvPadding = Annotated[
    _Zero | _ZeroPair | _Sides | Literal["same", "valid"],
    Expects(
        "an integer >= 0, a pair [height, width], [[top, bottom], [left, right]], same or valid",
        ("same", "valid"),
    ),
]


@dataclass(frozen=True)
class _Picked:
    """The keys below a name, on their way to the model of that name."""

    kind: str
    keys: Any


class Options(BaseModel):
    """Base of every mapping in a config: exact types, finite numbers, no unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if isinstance(data, _Picked):
            data = data.keys
        if isinstance(data, dict):
            unknown = {key: cls._unknown(key) for key in data if key not in cls.model_fields}
            if unknown:
                raise PydanticCustomError("unknown_keys", "unknown keys", {"keys": unknown})
        return data

    @classmethod
    def key_names(cls) -> list[str]:
        """The names of the keys: first its own, then those that its whole family has."""
        family = cls.__mro__[cls.__mro__.index(Options) - 1]
        shared = () if family is cls else family.__annotations__
        return sorted(cls.model_fields, key=lambda name: name in shared)

    @classmethod
    def _unknown(cls, key: str) -> str:
        known = cls.key_names()
        return f"expected one of {listed(known)}, got {quoted(key)}{suggest(key, known)}"


@dataclass(frozen=True)
class Spec:
    """A named choice and all its options: `{conv2d: {filters: 8, ...}}`.

    Layers inside containers are Specs in `options` (lists, for `concat` lists of lists).
    """

    kind: str
    options: dict[str, Any]


class Choice:
    """Annotation of a Spec: `name` or `name: {keys}` out of a table of Options by name."""

    def __init__(self, noun: str, table: Callable[[], Mapping[str, type[Options]]]):
        self.noun = noun
        self.table = table  # called late: containers are in the table of their own contents

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        union = core_schema.tagged_union_schema(
            {kind: handler.generate_schema(model) for kind, model in self.table().items()},
            discriminator=lambda picked: picked.kind,
        )
        return core_schema.no_info_wrap_validator_function(self._check, union)

    def __get_pydantic_json_schema__(
        self, schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        table = self.table()
        models = {kind: handler(model) for kind, model in schema["schema"]["choices"].items()}
        bare = [kind for kind, model in table.items() if not _required(model)]
        mapping = {
            "type": "object",
            "properties": models,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        return {"anyOf": [{"enum": bare}, mapping]}

    def _check(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Spec:
        kind, keys = self._split(value)
        known = self.table()
        written = isinstance(value, dict)
        if kind not in known:
            raise refuse(
                f"expected {self.noun} ({', '.join(known)}),"
                f" got {spell(kind)}{suggest(kind, known)}",
                at=(kind,) if written else (),
                key=written,
            )
        if not isinstance(keys, dict):
            raise refuse(
                f"expected a mapping of keys such as {_example(kind, known[kind])},"
                f" got {spell(keys)}",
                at=(kind,),
            )
        options = handler(_Picked(kind, keys))
        return Spec(kind, {name: getattr(options, name) for name in options.key_names()})

    def _split(self, value: Any) -> tuple[str, Any]:
        if isinstance(value, str):
            return value, {}
        if isinstance(value, dict) and len(value) == 1:
            return next(iter(value.items()))
        if isinstance(value, dict) and value:
            first, second, *_ = value
            raise refuse(
                f"expected {self.noun} with one key here, got the keys {listed(value)}: start"
                f" another entry, or indent {quoted(second)} below {quoted(first)} if it is one of"
                " its keys",
                at=(second,),
                key=True,
            )
        raise refuse(f"expected {self.noun}: a name or `name: {{keys}}`, got {spell(value)}")


def _required(model: type[Options]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _example(kind: str, model: type[Options]) -> str:
    keys = ", ".join(f"{name}: ..." for name in _required(model))
    return f"`{kind}: {{{keys}}}`" if keys else f"`{kind}` or `{kind}: {{}}`"
