"""Fuzz one door, guided by coverage: `python tests/fuzz/run.py DOOR FOLDER [options of libFuzzer]`; see README.md."""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
MOST_SECONDS, MOST_BYTES = 2.0, 500 << 20
ENDED_AFTER = 20.0  # seconds, of an input that does not end
ADDRESS_SPACE = 6 << 30
EXAMPLES = 3  # kept of each finding


class Endless(BaseException):
    """An input takes far too long; nothing that is tested catches it."""


def _end(number: int, frame: FrameType | None) -> None:
    raise Endless


class Watch:
    """Puts inputs through a door, counts them, and writes down what should not have happened."""

    def __init__(self, door: str, folder: Path) -> None:
        from fuzz.doors import DOORS

        self.door, self.folder = DOORS[door], folder
        self.inputs = self.taken = 0
        self.found: Counter[str] = Counter()
        self.started = self.told = time.time()

    def __call__(self, data: bytes) -> None:
        self.inputs += 1
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
        before, start = _memory("VmRSS"), time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, ENDED_AFTER)
        try:
            self.taken += self.door.attempt(data)
        except (Exception, Endless) as error:
            self._write(_name_of(error), data, traceback.format_exc())
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if (took := time.process_time() - start) > MOST_SECONDS:
            self._write("slow", data, f"{took:.1f} s")
        if (more := _memory("VmHWM") - before) > MOST_BYTES:
            self._write("large", data, f"{more >> 20} MB")
        if time.time() - self.told > 10:
            self.tell()

    def _write(self, name: str, data: bytes, told: str) -> None:
        self.found[name] += 1
        if self.found[name] <= EXAMPLES:
            (self.folder / f"{name}.{self.found[name]}").write_bytes(data)
            (self.folder / f"{name}.{self.found[name]}.txt").write_text(told)

    def tell(self) -> None:
        self.told = time.time()
        used = resource.getrusage(resource.RUSAGE_SELF)
        counts = {"inputs": self.inputs, "taken": self.taken, "wall_s": round(self.told - self.started)}
        counts |= {"cpu_s": round(used.ru_utime + used.ru_stime), "found": dict(self.found)}
        (self.folder / "counts.json").write_text(json.dumps(counts, indent=1))


def _memory(field: str) -> int:
    with open("/proc/self/status") as file:  # noqa: PTH123  (each input waits for it)
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def _name_of(error: BaseException) -> str:
    """What an error is, and the innermost place in archspec where it came up."""
    places = [step for step in traceback.extract_tb(error.__traceback__) if "/archspec/" in step.filename]
    place = f"{Path(places[-1].filename).stem}.{places[-1].name}" if places else "tests"
    return f"{type(error).__name__}-{place}".replace("<", "").replace(">", "")


def _quoted(word: str) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n'


def main() -> None:
    name, folder, *options = sys.argv[1:]
    place = Path(folder).resolve()
    (corpus := place / "corpus").mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGVTALRM, _end)
    with atheris.instrument_imports(include=["archspec"]):
        warnings.simplefilter("ignore")
        watch = Watch(name, place)
        watch.door.attempt(next(watch.door.seeds()))  # what is imported then takes no time of an input
        for number, seed in enumerate(watch.door.seeds()):
            if not any(corpus.glob(f"seed{number}")):
                (corpus / f"seed{number}").write_bytes(seed)
        (dictionary := place / "words.txt").write_text("".join(map(_quoted, filter(None, watch.door.words))))

        def change(data: bytes, most: int, seed: int) -> bytes:
            changed = watch.door.change(data, random.Random(seed), lambda data: atheris.Mutate(data, most))
            return changed[:most]

        usual = [
            f"-max_len={watch.door.longest}",
            *([f"-dict={dictionary}"] if watch.door.words else []),
            "-timeout=120",
            "-rss_limit_mb=0",  # of which libFuzzer would end: it is watched here
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], str(corpus), *usual, *options], watch, custom_mutator=change)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
