"""Mutation testing of the modules that make numbers, by hand: ``make mutants`` (CONTRIBUTING.md).

A seeded sample of mutants, one a place in the code, each run against its module's own tests: src/aopc/X/y.py has
tests/X/test_y.py, and where there is no such file all of tests/X. Prints what survived. The exit status is 0 if as
many are killed as ``--least`` says.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from mutation.forks import Fork, warm_up
from mutation.operators import operators, says_nothing

Key = TypeVar("Key")

SOURCE, TESTS = Path("src/aopc"), Path("tests")
#: The rooms whose numbers are published.
ROOMS = ("measures", "perturbation", "explainers", "experiment/conditions.py", "paper/claims")
#: The mutants of the last run, and what became of them.
LAST = Path(".cache/mutants.json")
#: A mutant that takes so many times as long as the module's tests, and so many seconds more, is taken for endless.
PATIENCE, GRACE = 4.0, 20.0


@dataclass
class Mutant:
    """The change that an operator makes at its n-th place in a module, and what became of it."""

    module: str
    line: int
    operator: str
    occurrence: int
    outcome: str = ""
    seconds: float = 0.0

    def text(self) -> str | None:
        """The module's text with the change; None if Python does not take it, or it changes nothing."""
        original = Path(self.module).read_text()
        operator = next(o for o in operators() if type(o).__name__ == self.operator)
        changed = mutate_code(original, operator, self.occurrence)
        try:
            compile(changed or "(", self.module, "exec")
        except (SyntaxError, ValueError):
            return None
        return changed if changed != original else None

    def difference(self) -> str:
        lines = Path(self.module).read_text().splitlines(), (self.text() or "").splitlines()
        return "\n".join(
            line for line in unified_diff(*lines, n=0, lineterm="") if line[:3] not in ("---", "+++", "@@ ")
        )


def modules_of(rooms: Sequence[str]) -> list[Path]:
    """The modules of rooms or single ones, below src/aopc, that hold any code."""
    found = []
    for room in rooms:
        path = SOURCE / room
        if not path.exists():
            raise SystemExit(f"there is no {path}: name a room or a module of {SOURCE}, such as measures")
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def tests_of(module: Path) -> tuple[Path, ...]:
    """Its own tests; where it has no file of its own, those of its folder."""
    room = TESTS / module.parent.relative_to(SOURCE)
    own = room / f"test_{module.stem}.py"
    return (own,) if own.exists() else tuple(sorted(room.glob("test_*.py")))


def mutants_of(module: Path) -> Iterator[list[Mutant]]:
    """All mutants of a module, place by place."""
    nodes = list(ast_nodes(get_ast(module.read_text())))
    unheard = {id(node) for node in nodes if says_nothing(node)}
    places: dict[tuple[tuple[int, int], tuple[int, int]], list[Mutant]] = defaultdict(list)
    for operator in operators():
        occurrence = 0
        for node in nodes:
            for start, end in operator.mutation_positions(node):
                if id(node) not in unheard:
                    places[start, end].append(Mutant(str(module), start[0], type(operator).__name__, occurrence))
                occurrence += 1
    yield from places.values()


def sampled(modules: Sequence[Path], count: int, seed: int) -> list[Mutant]:
    """So many mutants, in the order of the code: kinds of change take turns, since most places are names, and no two
    are at one place. All if there are fewer places.
    """
    draw = random.Random(seed)
    kinds: dict[str, list[tuple[int, Mutant]]] = defaultdict(list)
    for place, mutants in enumerate(found for module in modules for found in mutants_of(module)):
        for mutant in mutants:
            kinds[mutant.operator.split("_")[0]].append((place, mutant))
    for mutants_of_a_kind in kinds.values():
        draw.shuffle(mutants_of_a_kind)
    taken, found = set[int](), list[Mutant]()
    while len(found) < count and any(kinds.values()):
        for waiting in kinds.values():
            while waiting:
                place, mutant = waiting.pop()
                if place not in taken and mutant.text() is not None:
                    taken.add(place)
                    found.append(mutant)
                    break
    return sorted(found[:count], key=lambda m: (m.module, m.line, m.operator, m.occurrence))


def finished(forks: Iterable[tuple[Key, Callable[[], Fork]]], jobs: int) -> Iterator[tuple[Key, str, float]]:
    """Start so many at a time; what became of each, and after how many seconds, as they end."""
    waiting, running = iter(forks), dict[int, tuple[Key, Fork]]()
    while True:
        for key, start in islice(waiting, jobs - len(running)):
            fork = start()
            running[fork.process] = key, fork
        if not running:
            return
        for process, (key, fork) in list(running.items()):
            if (outcome := fork.outcome()) is not None:
                del running[process]
                yield key, *outcome
        time.sleep(0.1)


def run(mutants: Sequence[Mutant], jobs: int) -> None:
    """Find out what becomes of each; SystemExit if tests do not pass without a change."""
    limits: dict[tuple[Path, ...], float] = {}
    unchanged = {tests: partial(Fork.of, tests, 1800.0) for tests in (tests_of(Path(m.module)) for m in mutants)}
    for tests, outcome, seconds in finished(unchanged.items(), jobs):
        said = " ".join(map(str, tests))
        if outcome != "survived":
            raise SystemExit(f"without any change the tests must pass, but those of {said} do not")
        print(f"unchanged{seconds:6.1f} s  {said}", flush=True)
        limits[tests] = PATIENCE * seconds + GRACE

    def start(mutant: Mutant) -> Fork:
        module, tests = Path(mutant.module), tests_of(Path(mutant.module))
        return Fork.of(tests, limits[tests], module, mutant.text() or "")

    forks = ((i, partial(start, mutant)) for i, mutant in enumerate(mutants))
    for i, outcome, seconds in finished(forks, jobs):
        mutant = mutants[i]
        mutant.outcome, mutant.seconds = outcome, seconds
        print(f"{outcome:9}{seconds:6.1f} s  {mutant.module}:{mutant.line}  {mutant.operator}", flush=True)


def report(mutants: Sequence[Mutant]) -> float:
    """Print what survived and the counts by module; the share that did not survive."""
    for mutant in mutants:
        if mutant.outcome == "survived":
            print(f"\nsurvived: {mutant.module}:{mutant.line}, {mutant.operator} {mutant.occurrence}")
            print(mutant.difference())
    counts = Counter((m.module, m.outcome) for m in mutants) + Counter(("all", m.outcome) for m in mutants)
    print(f"\n{'':52}killed survived timeout")
    for name in (*dict.fromkeys(m.module for m in mutants), "all"):
        print(f"{name:52}{counts[name, 'killed']:6}{counts[name, 'survived']:9}{counts[name, 'timeout']:8}")
    share = 1 - counts["all", "survived"] / len(mutants)
    print(f"{share:.1%} of {len(mutants)} mutants killed")
    return share


def main() -> int:
    """Sample, run and report."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("rooms", nargs="*", default=ROOMS, help=f"folders or modules of {SOURCE}: {' '.join(ROOMS)}")
    parser.add_argument("--count", type=int, default=200, help="size of the sample (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--least", type=float, default=0.9, help="share that must be killed (0.9)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (1)")
    parser.add_argument("--again", action="store_true", help="only those that survived the last run")
    asked = parser.parse_args()
    if asked.again:
        mutants = [Mutant(**m) for m in json.loads(LAST.read_text()) if m["outcome"] == "survived"]
    else:
        mutants = sampled(modules_of(asked.rooms), asked.count, asked.seed)
    if not mutants:
        raise SystemExit("there is nothing to change")
    started = time.monotonic()
    warm_up()
    run(mutants, asked.jobs)
    LAST.parent.mkdir(exist_ok=True)
    LAST.write_text(json.dumps([asdict(m) for m in mutants], indent=1))
    share = report(mutants)
    print(f"{time.monotonic() - started:.0f} s")
    return int(share < asked.least)


if __name__ == "__main__":
    sys.exit(main())
