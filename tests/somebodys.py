"""A folder that somebody cares for, with odd things in it, and whether it is as it was."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

#: Any file: its mode, when it changed, and its content; of a link where it leads, of a folder nothing.
State = dict[bytes, tuple[int, int, bytes]]


def write_files(folder: Path) -> Path:
    """Files of all kinds, under names of all kinds."""
    texts = {
        ".git/HEAD": "ref: refs/heads/main\n",
        "metrics.json": "{}",
        "results/metrics.json": "{}",
        "results/thesis.tex": "years of work",
        "a $x_1$ [red] <b> %s {0}.txt": "marks",
        "line\nbreak.txt": "odd",
        "notes.txt": "none",
        "data/raw.csv": "1,2\n",
        "quits.py": "import sys\nsys.exit(0)\n",
        "fails.py": "raise OSError('a\\nb')\n",
        "needs.py": "import no_such_module\n\n\ndef f(model, images, targets):\n    return images[:, 0]\n",
        "wrong.py": "def two(a, b):\n    return a\n\n\nvalue = 3\n\n\ndef not_a_network(*, classes):\n    return 5\n",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("Latin-1")
    (folder / "empty").mkdir()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "read-only.txt").write_text("kept")
    (folder / "read-only.txt").chmod(0o400)
    return folder


def years_of_work(folder: Path, *names: str) -> Path:
    """Files of these names below a new folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")
    return folder


def state_of(folder: Path) -> State:
    """Of everything below a folder."""
    found: State = {}
    for root, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = os.path.join(root, name)  # noqa: PTH118 - names in bytes
            about = os.lstat(path)
            content = b""
            if os.path.islink(path):  # noqa: PTH114
                content = os.readlink(path)  # noqa: PTH115
            elif os.path.isfile(path):  # noqa: PTH113
                with open(path, "rb") as file:  # noqa: PTH123
                    content = file.read()
            found[path] = about.st_mode, about.st_mtime_ns, content
    return found


def odd_pictures(folder: Path) -> Path:
    """Folders of pictures, each with one that cannot be evaluated."""
    good = Image.fromarray(np.zeros((40, 40, 3), np.uint8))
    for name in ("narrow", "wide", "huge", "cut-off", "text", "latin", "newline", "float", "hidden"):
        (folder / name).mkdir(parents=True)
        if name != "hidden":
            good.save(folder / name / "z.png")
    Image.new("1", (1, 30_000)).save(folder / "narrow" / "a.png")
    Image.new("1", (40_000, 2)).save(folder / "wide" / "a.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge" / "a.png")
    whole = (folder / "text" / "z.png").read_bytes()
    (folder / "cut-off" / "a.png").write_bytes(whole[:-40])
    (folder / "text" / "a.png").write_text("no picture")
    Path(os.fsdecode(os.fsencode(folder) + b"/latin/caf\xe9.png")).write_bytes(whole)
    (folder / "newline" / "a\nb.png").write_bytes(whole)
    Image.fromarray(np.ones((40, 40), np.float32)).save(folder / "float" / "a.tiff")
    (folder / "hidden" / ".a.png").write_bytes(whole)
    (folder / "empty").mkdir()
    return folder
