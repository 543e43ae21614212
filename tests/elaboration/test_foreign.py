"""Names of other frameworks: what the help says in their place is a form of the language."""

import re

import pytest

import archspec
from archspec.elaboration.foreign import FOREIGN, meant_by

NET = """
{imported}
model Net:
    input x: [3, 8, 8]
    y = x -> Reduce("mean", [1, 2])
    first = ReLU
    second = ReLU
    axis = 0
    return {form}
"""


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize(
    "form",
    sorted({form for name in FOREIGN for form in re.findall("`(.*?)`", meant_by(name))} - {"nn.", "torch."}),
)
def test_the_form_is_one_that_reads(form: str) -> None:
    imported, applied = "", form
    if form.startswith("from "):
        imported, applied = form, form.rpartition(" ")[2]
    if not re.match(r"x\b|-\(|concat", applied):
        required = {
            "Conv": "Conv(8)",
            "Linear": "Linear(8)",
            "Upsample": "Upsample(scale=2)",
            "Pad": "Pad(1)",
        }
        required |= {
            "Permute": "Permute([1, 2, 0])",
            "Reshape": "Reshape([-1])",
            "ChannelDropout": "ChannelDropout(0.1)",
        }
        required |= {
            "Rearrange": 'Rearrange("c h w -> (h w) c")',
            "SqueezeExcite": "SqueezeExcite(1)",
            "GLU": "GLU(axis=1)",
        }
        tensor = "y" if applied.startswith('Rearrange("c ->') else "x"
        applied = f"{tensor} -> {required.get(applied, applied)}"
    archspec.read_text(NET.format(imported=imported, form=applied.replace("concat(x, y)", "concat(x, x)")))


def test_a_name_that_is_here_needs_no_other() -> None:
    for name in FOREIGN:
        with pytest.raises(archspec.SpecError, match="there is no"):
            archspec.read_text(f"model Net:\n    input x: [3, 8, 8]\n    return x -> {name}\n")
