"""Where the pipeline's files lie, from a profile's folder."""

from pathlib import Path

DATA, REPORTS = Path("data"), Path("reports")
#: Of computations that a kill interrupted; under no version control.
PARTS = Path(".cache") / "parts"
#: Images that are in memory at once, and in one part of the work.
PART_IMAGES = 50
