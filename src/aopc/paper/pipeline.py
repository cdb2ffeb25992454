"""The code that each DVC stage depends on, derived from imports and written into dvc.yaml.

``make pipeline`` runs it; a test fails where dvc.yaml is stale.
"""

import re
import textwrap
from pathlib import Path

from aopc.base.imports import PACKAGE, reached
from aopc.paper.stages import STAGES

#: The share of its files that a stage must reach for a folder to stand for them.
ENOUGH_OF_A_FOLDER = 0.3


def code_of(stage: str) -> list[str]:
    """The files and folders below the package that a stage's module reaches, sorted.

    A folder of which enough is reached stands for all of them: DVC then asks the stage once too often,
    and what is kept of its results is decided by exact hashes (:mod:`aopc.base.provenance`).
    """
    files = {Path(name) for name in reached(f"aopc.paper.stages.{stage}")}
    found: list[str] = []

    def visit(folder: Path) -> None:
        inside = {f for f in files if folder in f.parents}
        every = [
            f.relative_to(PACKAGE)
            for f in (PACKAGE / folder).rglob("*")
            if f.is_file() and "__pycache__" not in f.parts
        ]
        if folder.parts and len(inside) > ENOUGH_OF_A_FOLDER * len(every):
            found.append(folder.as_posix())
            return
        found.extend(f.as_posix() for f in inside if f.parent == folder and f.name != "__init__.py")
        for below in sorted({f.relative_to(folder).parts[0] for f in inside if f.parent != folder}):
            visit(folder / below)

    visit(Path())
    return sorted(found)


def with_code(text: str) -> str:
    """dvc.yaml with the code that its stages depend on behind their data."""
    for module, stage in STAGES.items():
        block = re.compile(rf"(^  {stage}:\n(?:    .*\n)*?    deps: )\[([^]]*)\]\n", re.MULTILINE)

        def written(match: re.Match[str], module: str = module) -> str:
            data = [d for d in re.findall(r'"[^"]*"|[^\s,]+', match[2]) if "${package}" not in d]
            code = [f'"${{package}}/{name}"' for name in code_of(module)]
            whole = f"{match[1].splitlines()[-1]}[{', '.join([*data, *code])}]"
            lines = textwrap.wrap(
                whole,
                118,
                subsequent_indent="      ",
                break_on_hyphens=False,
                break_long_words=False,
            )
            before = "".join(line + "\n" for line in match[1].splitlines()[:-1])
            return before + "\n".join(lines) + "\n"

        text = block.sub(written, text)
    return text


if __name__ == "__main__":
    path = Path("dvc.yaml")
    path.write_text(with_code(path.read_text(encoding="utf-8")), encoding="utf-8")
