"""The stable code of every kind of message: an error's (`E0502`) or a warning's (`W0101`).

Codes do not change and are not used anew. What each means, with an example and its fix, stands in `codes.toml`, which
docs/errors.md is made from and `archspec explain` prints.
"""

from __future__ import annotations

from typing import Final

# ------------------------------------------------------------------ the text: E01

SYNTAX: Final = "E0101"
UNCLOSED: Final = "E0102"
INDENTATION: Final = "E0103"
CHARACTER: Final = "E0104"
MISPLACED: Final = "E0105"
OTHER_LANGUAGE: Final = "E0106"
AMBIGUOUS: Final = "E0107"
BRACE: Final = "E0108"
STATED_TWICE: Final = "E0109"
NO_RETURN: Final = "E0110"
NOT_A_RULE: Final = "E0111"

# ------------------------------------------------------------------ names: E02

UNKNOWN_NAME: Final = "E0201"
NO_VALUE: Final = "E0202"
UNKNOWN_PART: Final = "E0203"
UNKNOWN_MODEL: Final = "E0204"
DEFINED_TWICE: Final = "E0205"
NAME_TAKEN: Final = "E0206"
NOT_A_NAME: Final = "E0207"
UNKNOWN_KIND: Final = "E0208"
NO_WEIGHT: Final = "E0209"
OUTPUT_NAMES: Final = "E0210"
CLOSED: Final = "E0211"
NO_STEP: Final = "E0212"

# ------------------------------------------------------------------ what a value is: E03

NOT_A_TENSOR: Final = "E0301"
NOT_A_LAYER: Final = "E0302"
NOT_CALLABLE: Final = "E0303"
OPERANDS: Final = "E0304"
CONDITION: Final = "E0305"
NOT_A_NUMBER: Final = "E0306"
NOT_A_LIST: Final = "E0307"
UNPACKING: Final = "E0308"
INDEXING: Final = "E0309"
VALUES_OF_TENSOR: Final = "E0310"
NOT_TEXT: Final = "E0311"
MIXED: Final = "E0312"

# ------------------------------------------------------------------ arguments: E04

UNKNOWN_ARGUMENT: Final = "E0401"
MISSING_ARGUMENT: Final = "E0402"
GIVEN_TWICE: Final = "E0403"
BY_POSITION: Final = "E0404"
OUT_OF_DOMAIN: Final = "E0405"
ARGUMENT: Final = "E0406"
EXCLUSIVE: Final = "E0407"
NO_EFFECT: Final = "E0408"
REQUIRED: Final = "E0409"
SHARED_DIFFERS: Final = "E0410"
ARGUMENT_TYPE: Final = "E0411"

# ------------------------------------------------------------------ shapes: E05

TENSORS: Final = "E0501"
RANK: Final = "E0502"
AXIS: Final = "E0503"
SHAPES: Final = "E0504"
INPUT_SHAPE: Final = "E0505"
INDIVISIBLE: Final = "E0506"
TOO_SMALL: Final = "E0507"
RESHAPE: Final = "E0508"
PATTERN: Final = "E0509"
AXES: Final = "E0510"
SIZE: Final = "E0511"
WEIGHT_SHAPE: Final = "E0512"
NO_INPUT: Final = "E0513"
NO_BATCH: Final = "E0514"
TABLE: Final = "E0515"

# ------------------------------------------------------------------ dtypes: E06

DTYPE: Final = "E0601"
DTYPES: Final = "E0602"
CANNOT_HOLD: Final = "E0603"
NOT_TRAINABLE: Final = "E0604"

# ------------------------------------------------------------------ numbers: E07

DIVISION_BY_ZERO: Final = "E0701"
NOT_FINITE: Final = "E0702"
UNDEFINED: Final = "E0703"
NOT_UNICODE: Final = "E0704"

# ------------------------------------------------------------------ free sizes: E08

FREE_QUESTION: Final = "E0801"
FREE_NUMBER: Final = "E0802"
FREE_ASSUMPTION: Final = "E0803"
FREE_PLACE: Final = "E0804"
FREE_INPUT: Final = "E0805"
FREE_FORMULA: Final = "E0806"
FREE_VALUE: Final = "E0807"

# ------------------------------------------------------------------ limits: E09

BUDGET: Final = "E0901"
TOO_LARGE: Final = "E0902"
TOO_DEEP: Final = "E0903"
RECURSION: Final = "E0904"

# ------------------------------------------------------------------ imports and files: E10

NO_SPEC: Final = "E1001"
NOT_IN_FILE: Final = "E1002"
CIRCULAR: Final = "E1003"
OUTSIDE: Final = "E1004"
NO_FILE: Final = "E1005"
UNREADABLE: Final = "E1006"
NOT_A_SPEC: Final = "E1007"
UNWRITABLE: Final = "E1008"
SUFFIX: Final = "E1009"
PROGRAM: Final = "E1010"
PLUGIN: Final = "E1011"
NOT_IMPORTED: Final = "E1012"
NO_SOURCE: Final = "E1013"

# ------------------------------------------------------------------ claims: E11

CLAIM: Final = "E1101"
NOT_A_CLAIM: Final = "E1102"

# ------------------------------------------------------------------ graphs, artefacts and weights: E12

GRAPH: Final = "E1201"
NOT_A_GRAPH: Final = "E1202"
REWRITING: Final = "E1203"
ARTIFACT: Final = "E1204"
CHECKPOINT: Final = "E1205"
POSITIONS: Final = "E1206"
CHANGED: Final = "E1207"
NO_EXPORT: Final = "E1208"

# ------------------------------------------------------------------ tensors given to a network: E13

INPUTS: Final = "E1301"
INPUT_TYPE: Final = "E1302"
INPUT_SIZES: Final = "E1303"
INPUT_DTYPE: Final = "E1304"
STEP: Final = "E1305"

# ------------------------------------------------------------------ from Python and the shell: E14

OPTION: Final = "E1401"
CHOICE: Final = "E1402"
LATE: Final = "E1403"
CLASH: Final = "E1404"
SETTING: Final = "E1405"
SCALING: Final = "E1406"

# ------------------------------------------------------------------ ops of one's own: E15

OWN_OP: Final = "E1501"

# ------------------------------------------------------------------ names of other code: E16

NOT_A_MAP: Final = "E1601"
HOLES: Final = "E1602"
MAP_PATTERN: Final = "E1603"
NO_KEY: Final = "E1604"
CLAIMED_TWICE: Final = "E1605"
NO_MAP: Final = "E1606"

# ------------------------------------------------------------------ warnings

UNUSED_STEP: Final = "W0101"
UNUSED_VALUE: Final = "W0102"
UNUSED_INPUT: Final = "W0103"
UNUSED_PARAMETER: Final = "W0104"
UNUSED_IMPORT: Final = "W0105"
UNUSED_DEFAULT: Final = "W0106"
UNUSED_ALLOW: Final = "W0107"
HIDDEN_NAME: Final = "W0201"
BIAS_BEFORE_NORM: Final = "W0301"
REPEATED_ACTIVATION: Final = "W0302"
LAST_AXIS: Final = "W0303"
SOFTMAX_OUTPUT: Final = "W0304"
PARTIAL_WEIGHTS: Final = "W0401"

NAMES: Final = {
    UNUSED_STEP: "unused-step",
    UNUSED_VALUE: "unused-value",
    UNUSED_INPUT: "unused-input",
    UNUSED_PARAMETER: "unused-parameter",
    UNUSED_IMPORT: "unused-import",
    UNUSED_DEFAULT: "unused-default",
    UNUSED_ALLOW: "unused-allow",
    HIDDEN_NAME: "hidden-name",
    BIAS_BEFORE_NORM: "bias-before-norm",
    REPEATED_ACTIVATION: "repeated-activation",
    LAST_AXIS: "last-axis",
    SOFTMAX_OUTPUT: "softmax-output",
    PARTIAL_WEIGHTS: "partial-weights",
}
"""The names of warnings, by which a comment allows them: `# allow unused-step: why`."""

CODES: Final = {name: code for name, code in globals().items() if name.isupper() and isinstance(code, str)}
"""All codes, by the names that they have here."""

_GROUPS = {
    "E01": "syntax",
    "E02": "name",
    "E03": "type",
    "E04": "argument",
    "E05": "shape",
    "E06": "dtype",
    "E07": "value",
    "E08": "free",
    "E09": "budget",
    "E10": "file",
    "E11": "claim",
    "E12": "graph",
    "E13": "input",
    "E14": "argument",
    "E15": "op",
    "E16": "names",
}
_OWN_GROUPS = {
    REQUIRED: "require",
    ARGUMENT_TYPE: "type",
    OUT_OF_DOMAIN: "value",
    TOO_DEEP: "recursion",
    RECURSION: "recursion",
    NO_SPEC: "import",
    NOT_IN_FILE: "import",
    CIRCULAR: "import",
    OUTSIDE: "import",
    ARTIFACT: "artifact",
}


def kind_of(code: str) -> str:
    """What sort of thing is wrong, in a word (`shape`); a warning's name."""
    return NAMES.get(code) or _OWN_GROUPS.get(code) or _GROUPS[code[:3]]
