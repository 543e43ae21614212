"""What a glance accepts, pydantic accepts as it is; and a plain check builds no validator, and parses no options."""

import json
import math
import subprocess
import sys
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from archspec.ground.declared import Family
from archspec.ground.size import Free
from archspec.op import Op, Weight, shipped
from archspec.op.initialisation import Initialiser, normal, ones, uniform, zeros
from archspec.op.settling import Settled, _fields

SCALARS: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        2**24,
        2**24 + 1,
        2**70,
        0.0,
        -0.0,
        0.5,
        1.0,
        1e300,
        math.inf,
        math.nan,
    ),
    *("", "same", "valid", "fan_in", "f32", "int64", "nearest", zeros(), ones(), zeros, {"name": "zeros"}),
    *(Free.named("S"), Family().member(3, 1, Free.named("S")), b"same", 1j),
)
VALUES: tuple[Any, ...] = (
    *SCALARS,
    (),
    [1],
    (1,),
    (0, 1),
    (1, True),
    (1, 2.0),
    ((1, 2), (3,)),
    (-1,),
    ("a",),
)


def models() -> list[type[Settled]]:
    ops = [Op.find(name) for name in sorted(Op.names())]
    return [*(op for op in ops if shipped(op)), *Initialiser.known.values(), Weight]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_what_a_glance_accepts_pydantic_accepts_as_it_is(model: type[Settled]) -> None:
    strict = ConfigDict(strict=model is not Weight, allow_inf_nan=False)
    fields = _fields(model)
    assert fields is not None
    for name, glance, default, required in fields:
        field = model.model_fields[name]
        annotation: Any = field.annotation
        for item in field.metadata:
            annotation = Annotated[annotation, item]
        is_model = isinstance(field.annotation, type) and issubclass(field.annotation, Settled)
        adapter: Any = TypeAdapter(annotation, config=None if is_model else strict)
        for value in VALUES:
            if glance(value):
                read = adapter.validate_python(value)
                assert (type(read), repr(read)) == (type(value), repr(value)), name
        assert required or repr(default) == repr(field.get_default())


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (Op.find("Conv"), {"out": 8, "kernel": (3, 3), "bias": False, "init": zeros()}),
        (Op.find("BatchNorm"), {"eps": 1e-3}),
        (uniform, {"low": -0.5}),
        (Weight, {"shape": (3, 4), "init": normal(std=0.1), "trainable": False}),
    ],
)
def test_a_model_built_at_a_glance_is_the_one_that_pydantic_builds(
    model: type[Settled], arguments: dict[str, Any]
) -> None:
    made, checked = model(**arguments), model.model_validate(arguments)
    assert made == checked and hash(made) == hash(checked) and list(vars(made)) == list(vars(checked))
    assert made.model_fields_set == checked.model_fields_set == set(arguments)
    assert made.model_dump_json() == checked.model_dump_json()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Conv", {}),
        ("Conv", {"out": 0}),
        ("Conv", {"out": True}),
        ("Conv", {"out": 8, "kernel": (3, 0)}),
        ("Conv", {"out": 8, "wide": 1}),
        ("Conv", {"out": 2**70}),
        ("BatchNorm", {"momentum": math.nan}),
    ],
)
def test_what_is_wrong_is_told_by_pydantic(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        Op.find(name)(**arguments)
    with pytest.raises(ValidationError) as wanted:
        Op.find(name).model_validate(arguments)
    assert [e["type"] for e in told.value.errors()] == [e["type"] for e in wanted.value.errors()]


def test_a_plain_check_builds_no_validator_and_parses_no_options() -> None:
    code = (
        "import json, sys\n"
        "from archspec.cli import invoke\n"
        "assert invoke(['check', 'efficientnet_b3']) == 0\n"
        "from archspec.graph import Graph\n"
        "from archspec.op import Op, Weight\n"
        "built = [c.__name__ for c in (Graph, Weight, *Op.known.values()) if c.__pydantic_complete__]\n"
        "late = ('typer', 'difflib', 'archspec.graph.flat', 'archspec.analyses.quantities', 'archspec.api.loading')\n"
        "print(json.dumps([built, [name for name in late if name in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], []]
