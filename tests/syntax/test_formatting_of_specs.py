"""The canonical style: what a text becomes, construct by construct."""

import re
from pathlib import Path

import pytest

import archspec
from archspec import SpecError
from archspec.syntax import automaton, tables

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").rglob("*.arch"))

# Texts in twos: as they are written, and as they are formatted. A single one is formatted already.
CASES = {
    "spaces": [
        "x=a+b*-c**-2//(d)%e@f - +g\n",
        "x = a + b * -c ** -2 // (d) % e @ f - +g\n",
    ],
    "comparisons": [
        "require a<b<=c and not a==b or(a!=b)or a  not   in[1,2]and a in c,'why'\n",
        'require a < b <= c and not a == b or (a != b) or a not in [1, 2] and a in c, "why"\n',
    ],
    "augmented": ["x  +=a\ny//=2\nz **=2\n", "x += a\ny //= 2\nz **= 2\n"],
    "targets": ["a,(b,c),=d\n(e,)=f,g,\n", "a, (b, c), = d\n(e,) = f, g,\n"],
    "tuples": ["x = ( )\ny = (1 , )\nz = (1,2 , )\n", "x = ()\ny = (1,)\nz = (1, 2)\n"],
    "numbers": ["x = [007, 1_000, 1E-6, 0.50, 1e+06, 0e0]\n", "x = [7, 1_000, 1e-6, 0.50, 1e6, 0e0]\n"],
    "quotes": [
        "x = ['a', 'it\\'s', 'say \"b\"', \"\\\"\", '', \"it's\"]\n",
        "x = [\"a\", \"it's\", 'say \"b\"', \"\\\"\", \"\", \"it's\"]\n",
    ],
    "holes": ["x = 'a{{b}}{i+1}{ f( x=2,y = [j] ) }'\n", 'x = "a{{b}}{i + 1}{f(x=2, y=[j])}"\n'],
    "long_strings": ['x = ["""a {i+1}\n  b""" , 1]\n', 'x = ["""a {i+1}\n  b""", 1]\n'],
    "slices": ["y = x [1 :, : -1, ::2, i*D : (i+1)*D, 0]\n", "y = x[1:, :-1, ::2, i * D:(i + 1) * D, 0]\n"],
    "attributes": ["y = x . shape [0] . z\n", "y = x.shape[0].z\n"],
    "calls": ["y = f ( a,*b , c = d, e=-1 ) (g) [0]\n", "y = f(a, *b, c=d, e=-1)(g)[0]\n"],
    "steps": ["y = x->Conv(8)->'a{i}' :ReLU->3 : [ ]\n", 'y = x -> Conv(8) -> "a{i}": ReLU -> 3: []\n'],
    "conditionals": ["y = (a if b else c)->d\n", "y = (a if b else c) -> d\n"],
    "comprehensions": [
        "x = ['l{i}' :f(i)for i,(j , k) in z if i if j for m in k]\ny = sum(i for i in x)\n",
        'x = ["l{i}": f(i) for i, (j, k) in z if i if j for m in k]\ny = sum(i for i in x)\n',
    ],
    "spreads": ["x = [*a , b,* c]\ny = (*a,)\n", "x = [*a, b, *c]\ny = (*a,)\n"],
    "head": [
        "'Doc.'\nfrom a . b import C as D,E\nbudget  1_000\n",
        '"Doc."\nfrom a.b import C as D, E\nbudget 1_000\n',
    ],
    "names": [
        "names  M 'their files':\n  'a/{i}/k'->'a{i}.weight' :'i o->o i'\n  ('q','k',)->'qk'\n  'step' -> none 'counts steps'\n",
        'names M "their files":\n    "a/{i}/k" -> "a{i}.weight": "i o->o i"\n    ("q", "k") -> "qk"\n    "step" -> none "counts steps"\n',
    ],
    "literals": ["x=[true,false,none]\n", "x = [true, false, none]\n"],
    "definitions": [
        "block A ( a:int in{1,2 , }=1,b :list[ list [int] ]in 1 .. 8,c = none, )= B(a,x=1)\n",
        "block A(a: int in {1, 2} = 1, b: list[list[int]] in 1..8, c = none) = B(a, x=1)\n",
    ],
    "functions": ["def f (v , d=8 ):\n  return v//d\n", "def f(v, d = 8):\n    return v // d\n"],
    "statements": [
        """\
model M:
  input a
  input b : [C , *S,free H]
  input c:i64 [ 2 ]
  input ds : 2*[ 3 ]
  input es:n * f32[3]
  input fs: ( n+1 )*[3]
  input * gs:[3]
  weight w :f32 [2, *S]= zeros
  buffer 'k.v' as v:[2]=ones
  constant o: [ ]=[1]
  shared s=Linear( 8 )
  shared 'q' as t = ReLU
  defaults :
    Conv(bias = false)
    '*.bn.weight':zeros
    BatchNorm=norm
    'a.*.relu'=GELU
    'a.b'->se:SE( 16 )->Dropout(0.1)
    drop : Dropout(0.1)->  'fc'
  for i ,j in[(1,2)] :
    a=a
  if a :
    a=b
  elif ( b ):
    a=c
  else :
    a=d
  require a
  return p = a , q=b->c
""",
        """\
model M:
    input a
    input b: [C, *S, free H]
    input c: i64[2]
    input ds: 2 * [3]
    input es: n * f32[3]
    input fs: (n + 1) * [3]
    input *gs: [3]
    weight w: f32[2, *S] = zeros
    buffer "k.v" as v: [2] = ones
    constant o: [] = [1]
    shared s = Linear(8)
    shared "q" as t = ReLU
    defaults:
        Conv(bias=false)
        "*.bn.weight": zeros
        BatchNorm = norm
        "a.*.relu" = GELU
        "a.b" -> se: SE(16) -> Dropout(0.1)
        drop: Dropout(0.1) -> "fc"
    for i, j in [(1, 2)]:
        a = a
    if a:
        a = b
    elif (b):
        a = c
    else:
        a = d
    require a
    return p=a, q=b -> c
""",
    ],
    "claims": [
        "claims M 'source' at a=1,b = [ 2 ]:\n  params 25.56M but  26M 'why'\n  output[10]\n  output x [1,2]\n",
        'claims M "source" at a=1, b=[2]:\n    params 25.56M but 26M "why"\n    output [10]\n    output x [1, 2]\n',
    ],
    "docstring": [
        'block A:\n  """\n    One.\n\n      Two.\n  """\n  return 1\nblock B:\n  """ One.\n     Two."""\n  return 1\n',
        'block A:\n    """\n    One.\n\n      Two.\n    """\n    return 1\n\nblock B:\n    """One.\n    Two."""\n    return 1\n',
    ],
    "docstring_with_escapes": ['block A:\n  """One \\\n  Two."""\n  return 1\n', 'block A:\n    """One \\\n  Two."""\n    return 1\n'],
    "blank_lines": [
        "\n\na = 1\n\n\n\nb = 2\nblock A:\n\n  c = 1\n\n\n  if c:\n    d = 2\n\n  else:\n    d = 3\nblock B = A\nblock C = A\nx = 1\n"
        "claims A:\n  params 1\nclaims B:\n  params 1\n\n\n",
        "a = 1\n\nb = 2\n\nblock A:\n    c = 1\n\n    if c:\n        d = 2\n    else:\n        d = 3\n\nblock B = A\nblock C = A\nx = 1\n"
        "\nclaims A:\n    params 1\n\nclaims B:\n    params 1\n",
    ],
    "comments": [
        "#one\n#!two\n\n#  three\nblock A:#four\n # five\n\n  a = 1 #six\n  bb = 2# seven\n  # eight\n # nine\n#ten\nblock B:\n  a = 1\n"
        "  # eleven\n# twelve\n",
        "# one\n#!two\n\n#  three\nblock A:  # four\n    # five\n\n    a = 1   # six\n    bb = 2  # seven\n    # eight\n\n# nine\n# ten\nblock B:\n"
        "    a = 1\n    # eleven\n# twelve\n",
    ],
    "comments_in_brackets": [
        "x = [ # a\n  1, # b\n  # c\n\n  22 # d\n  , 3,\n  # e\n\n  # f\n]\ny = (\n # g\n)\n",
        "x = [  # a\n    1,   # b\n    # c\n\n    22,  # d\n    3,\n    # e\n\n    # f\n]\ny = (\n    # g\n)\n",
    ],
    "comments_in_chains": [
        "y = x -> a # one\n  # two\n  -> b\n  + c\n",
        "y = x -> a  # one\n      # two\n      -> b\n          + c\n",
    ],
    "allowed": [
        f"y = x -> {'a' * 60}: ReLU -> {'b' * 60}: ReLU  # allow unused-step: a test\n",
    ],
    "backslash": ["x = a \\\n  + b\n", "x = a + b\n"],
    "chain_under_arrow": [
        "y = x -> a\n -> b\n  -> c\n",
        "y = x -> a\n      -> b\n      -> c\n",
    ],
    "chain_under_source": ["y = x\n -> a -> b\n -> c\n", "y = x\n    -> a -> b\n    -> c\n"],
    "chain_of_a_long_source": [
        "long_name = concat(x, y) -> a\n -> b\n",
        "long_name = concat(x, y) -> a\n    -> b\n",
    ],
    "long_chain": [
        "x = x -> conv1: Conv(64, 3, stride=2) -> bn1: BatchNorm -> ReLU -> conv2: Conv(64, 3, stride=2) -> bn2: BatchNorm -> ReLU\n",
        "x = x -> conv1: Conv(64, 3, stride=2) -> bn1: BatchNorm -> ReLU\n      -> conv2: Conv(64, 3, stride=2) -> bn2: BatchNorm -> ReLU\n",
    ],
    "long_call": [
        f"x = Block({', '.join(f'argument_{i}={i}' for i in range(12))})\n",
        f"x = Block(\n    {', '.join(f'argument_{i}={i}' for i in range(6))},\n"
        f"    {', '.join(f'argument_{i}={i}' for i in range(6, 12))},\n)\n",
    ],
    "long_parameters": [
        f"block A({', '.join(f'parameter_{i}: int = {i}' for i in range(6))}):\n    return 1\n",
        f"block A(\n    {', '.join(f'parameter_{i}: int = {i}' for i in range(3))},\n"
        f"    {', '.join(f'parameter_{i}: int = {i}' for i in range(3, 6))},\n):\n    return 1\n",
    ],
    "long_branches": [
        f"x = concat(x -> {'a' * 40}: ReLU, x -> {'b' * 40}: ReLU, x -> {'c' * 40}: ReLU)\n",
        f"x = concat(\n    x -> {'a' * 40}: ReLU,\n    x -> {'b' * 40}: ReLU,\n    x -> {'c' * 40}: ReLU,\n)\n",
    ],
    "long_comprehension": [
        f"x = [[{'a' * 50}(i, j) for i, j in enumerate({'b' * 50}) if i > {'c' * 10}]]\n",
        f"x = [[\n    {'a' * 50}(i, j)\n    for i, j in enumerate({'b' * 50}) if i > {'c' * 10}\n]]\n",
    ],
    "long_condition": [
        f"block A:\n    if {'a' * 60} and {'b' * 60}:\n        x = 1\n    return 1\n",
        f"block A:\n    if {'a' * 60}\n            and {'b' * 60}:\n        x = 1\n    return 1\n",
    ],
    "long_sum": [
        f"x = {'a' * 60} + {'b' * 60} * {'c' * 10}\n",
        f"x = {'a' * 60}\n    + {'b' * 60} * {'c' * 10}\n",
    ],
    "long_message": [f'require a or b, "{"c" * 120}"\n'],
    "short_brackets_stay": [f"{'a' * 110} = Linear(8, 9)\n"],
    "opened_brackets_stay": [
        "x = f(\n  a, b,\n  c)\ny = g(a,\n  b)\nz = h(a, b\n)\n",
        "x = f(\n    a, b,\n    c,\n)\ny = g(\n    a,\n    b,\n)\nz = h(a, b)\n",
    ],
    "brackets_in_brackets": [
        "x = f([\n  a, b])\ny = (\n    [a]\n    + b\n)\n",
        "x = f([\n    a, b,\n])\ny = (\n    [a]\n    + b\n)\n",
    ],
    "table": [
        "x = [\n ('a', 1, -10, f(1)),\n ('bcd', 100, 2, g),\n (1, 2),\n (30, 4),\n]\n",
        'x = [\n    ("a",     1, -10, f(1)),\n    ("bcd", 100,   2, g),\n    ( 1, 2),\n    (30, 4),\n]\n',
    ],
    "table_with_title": [
        "x = [\n # layer     width, depth\n (Conv, 8, 2),\n # a comment, in between\n (Linear, 16, 100),\n]\n",
        "x = [\n    # layer  width, depth\n    (Conv,       8,     2),\n    # a comment, in between\n    (Linear,    16,   100),\n]\n",
    ],
    "rows_too_wide_for_a_table": [
        f"x = [\n    ({'a' * 100}, 1),\n    (b, {'c' * 100}),\n]\n",
    ],
    "table_of_calls": [
        "y = x\n -> a: f(1, 20, 3, 4, g)\n -> h\n -> b: f(10, 2, 3, 400, i)\n",
        "y = x\n    -> a: f( 1, 20, 3,   4, g)\n    -> h\n    -> b: f(10,  2, 3, 400, i)\n",
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_construct_has_one_form(case: str) -> None:
    before, after = CASES[case][0], CASES[case][-1]
    assert archspec.format_text(before) == after
    assert archspec.format_text(after) == after


def test_the_cases_hold_every_rule_of_the_grammar() -> None:
    seen = set()
    stack: list[object] = [automaton.syntax_tree(before, "file") for before, *_ in CASES.values()]
    while stack:
        node = stack.pop()
        if isinstance(node, automaton.Node):
            seen.add(node.rule)
            stack.extend(node.parts)
    assert seen == {made for made, *_ in tables.tables().rules if made not in ("", "*")}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_each_shipped_spec_keeps_within_the_width(path: Path) -> None:
    text = archspec.format_text(path.read_text(encoding="utf-8"))
    code = re.sub(
        r'"""(?:[^\\]|\\.)*?"""|"[^"\n]*"|#.*', lambda m: "" if len(m[0]) > 60 else m[0], text, flags=re.S
    )
    assert max(map(len, code.splitlines())) <= 120


def test_line_endings_and_the_byte_order_mark_stay() -> None:
    assert archspec.format_text("\ufeffa=1\r\n\r\nb=2") == "\ufeffa = 1\r\n\r\nb = 2\r\n"
    assert archspec.format_text("a=1\r\nb=2\nc=3\n") == "a = 1\nb = 2\nc = 3\n"


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_what_is_empty_stays_so(text: str) -> None:
    assert archspec.format_text(text) == text.strip()


def test_comments_alone_are_kept() -> None:
    assert archspec.format_text("#a\n\n\n  #b") == "# a\n\n# b\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model M\n", "error[E0101]: unexpected end of line\n --> my.arch:1:8"),
        ("x = (1\n", "unclosed `(`"),
        ("x = $\n", "unexpected `$`"),
        ("x = " + "(" * 65 + "1" + ")" * 65 + "\n", "nested more than 64 deep"),
        ("x = 1_\n", "is not a number"),
        ("x = '{'\n", "unmatched `{`"),
        ("return 1\n", "outside of a block or model"),
        ("x = \0\n", "NUL"),
        ("#" * 250_001, "larger than 250,000 bytes"),
    ],
)
def test_a_wrong_text_is_told(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        archspec.format_text(text, "my.arch")


@pytest.mark.parametrize(
    "text",
    [
        f"x = {'(' * 63}1{')' * 63}\n", f"x = {'[' * 63}1, 2{']' * 63}\n", f"x = {'f(a, ' * 63}1{')' * 63}\n",
        f"x = a{'(1)' * 190}\n", f"x = {'-' * 190}1\n", f"x = {'not ' * 190}a\n", f"x = {'2 ** ' * 190}1\n",
        f"x = {'a if b else ' * 190}1\n", f"x = ({'a if b else ' * 190}1)\n", f"x = [a{' for b in c' * 2000}]\n",
        f"x = {' + '.join(['a'] * 2000)}\n", f"x = {' * '.join(['a'] * 2000)}\n * a\n", f"x = a{' -> b' * 2000}\n",
        f"x = [{', '.join(map(str, range(3000)))}]\n", "x = [\n" + "(1, 2),\n" * 2000 + "]\n",
    ],
)  # fmt: skip
def test_what_is_deep_or_long_is_formatted(text: str) -> None:
    formatted = archspec.format_text(text)
    assert archspec.format_text(formatted) == formatted
