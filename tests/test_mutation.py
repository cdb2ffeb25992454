"""The changes that mutation testing makes, and what it takes for a module's own tests."""

from pathlib import Path

import pytest

# They need the extra "mutation".
operators = pytest.importorskip("mutation.operators")
run = pytest.importorskip("mutation.__main__")


@pytest.mark.parametrize("kind", operators.OURS)
def test_operators_change_their_examples_as_they_say(kind: type) -> None:
    for example in kind.examples():
        found = run.mutate_code(example.pre_mutation_code, kind(), example.occurrence)
        assert found == example.post_mutation_code


def test_the_sample_is_seeded_and_has_one_mutant_a_place() -> None:
    modules = run.modules_of(["measures/abpc.py", "measures/localisation.py"])
    one, again, other = (run.sampled(modules, 20, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert len(one) == 20
    assert len({mutant.text() for mutant in one}) == 20
    assert all(mutant.difference() for mutant in one)
    assert {m.module for m in one} == {str(m) for m in modules}


def test_annotations_and_messages_are_left_alone() -> None:
    module = Path("src/aopc/perturbation/value_range.py")
    changed = {m.line for place in run.mutants_of(module) for m in place}
    lines = module.read_text().splitlines()
    kept = {i for i, line in enumerate(lines, start=1) if 'f" low' in line or ": tuple[float, ...]" in line}
    assert kept
    assert changed
    assert not changed & kept


def test_each_module_has_its_own_tests() -> None:
    for module, tests in (
        ("measures/aopc", "measures/test_aopc"),
        ("perturbation/removal/fills", "perturbation/removal/test_fills"),
    ):
        assert run.tests_of(Path(f"src/aopc/{module}.py")) == (Path(f"tests/{tests}.py"),)
    of_the_room = run.tests_of(Path("src/aopc/paper/claims/__init__.py"))
    assert Path("tests/paper/claims/test_rules.py") in of_the_room
