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


def test_what_gives_the_same_by_a_rule_is_no_mutant(tmp_path: Path) -> None:
    """Copies that are saved, sizes of caches, and the order of two arguments where it says nothing; not others."""
    module = tmp_path / "module.py"
    lines = [
        "a = x.astype(float, copy=False)",
        "b = lru_cache(maxsize=16)",
        "c = np.maximum(x, y)",
        "d = x.to(device, copy=True)",
        "e = np.subtract(x, y)",
        "f = np.maximum(x, y, z)",
        "g = max(x, y)",
    ]
    module.write_text("\n".join(lines) + "\n")
    found = [m for place in run.mutants_of(module) for m in place]
    kinds = ("ArgumentsExchanged", "ArgumentDropped", "NumberReplacer", "ReplaceFalseWithTrue", "ReplaceTrueWithFalse")
    changed = {lines[m.line - 1][0] for m in found if m.operator in kinds}
    assert changed == set("defg")
