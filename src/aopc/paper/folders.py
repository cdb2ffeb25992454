"""Where the pipeline's files lie, from a profile's folder."""

from pathlib import Path, PurePath

DATA, REPORTS = Path("data"), Path("reports")
#: Of computations that a kill interrupted; under no version control.
PARTS = Path(".cache") / "parts"
#: Held by a stage while it runs.
LOCKS = Path(".cache") / "locks"
#: Images that are in memory at once, and in one part of the work.
PART_IMAGES = 50
#: Folder of data → the stage that writes it, those of one data set, network or panel each.
_OF_ONE = {"datasets": "datasets", "networks": "networks", "heatmaps": "heatmaps"}
_OF_ONE |= {"curves": "perturbation", "controls": "controls"}
_OF_ALL = {"panels": "predict", "complexity": "complexity", "digits": "digits", "checkpoints": "checkpoints"}


def stage_of(path: PurePath) -> str:
    """The stage that writes a file of the pipeline, as DVC names it; nothing for another file."""
    match path.parts:
        case ("data", folder, item, *_) if folder in _OF_ONE:
            return f"{_OF_ONE[folder]}@{item}"
        case ("data", folder, *_) if folder in _OF_ALL:
            return _OF_ALL[folder]
        case ("reports", name, *_):
            return "figures" if name in ("figures", "results.md") else "claims"
    return ""


def how_to_make(*paths: PurePath) -> str:
    """The commands that make files of the pipeline again, nothing for other files."""
    stages = list(dict.fromkeys(stage for path in paths if (stage := stage_of(path))))
    return f"dvc repro --force --single-item {' '.join(stages)} && dvc repro" if stages else ""
