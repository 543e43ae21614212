"""The other distribution that holds a package `archspec`, about CPUs: installed in the same place, each breaks the other.

Whichever comes second writes over `__init__.py` of the first; removing either removes that of both. So this is looked for when any
module of this package is imported, also where the `__init__.py` is no longer ours.
"""

from __future__ import annotations

import os
import sys
import warnings

_OTHER = "the distribution `archspec` (CPU microarchitectures, which conda and Spack use)"
_MEND = (
    "Give archspec-nn an environment of its own, or if the other is not needed there: "
    "`pip uninstall archspec archspec-nn`, then `pip install archspec-nn`."
)


def look() -> None:
    """Warn where the other distribution shares this package's folder; ImportError where it took the package over."""
    folder = os.path.dirname(__file__)  # noqa: PTH120  (each import pays for this)
    beside = os.path.isdir(os.path.join(folder, "cpu"))  # noqa: PTH112, PTH118
    if not hasattr(sys.modules["archspec"], "__distribution__"):
        cause = f"{_OTHER} was" if beside else f"another distribution, such as {_OTHER}, was"
        raise ImportError(
            f"{folder}/__init__.py is not that of archspec-nn: {cause} installed over it, or removed. {_MEND}"
        )
    if beside:
        warnings.warn(
            f"{_OTHER} is installed in {folder} as well: updating or removing either breaks the other. {_MEND}",
            RuntimeWarning,
            stacklevel=2,
        )


look()
