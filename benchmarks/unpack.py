"""How long it takes, and how much memory, to take 5040 images out of a large archive.

    python benchmarks/unpack.py --images FOLDER [--gigabytes 2.2] [--compress]

Builds an archive of SUN397's layout from the images in FOLDER, repeated under new names until it has
the size, takes the paper's number of images out of it by the data set's own rule, and prints wall
time, peak memory, and both beside reading the archive from end to end.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from aopc.data.downloads.archives import unpack_subset
from aopc.data.downloads.fetch import File
from aopc.data.folder import image_folder
from aopc.data.sources.sun397 import shared_categories
from aopc.data.subset import Subset

COUNT = 5040
SHARED = shared_categories()


def build(path: Path, images: Path, size: float, compress: bool) -> int:
    """Write the archive; returns how many images it has."""
    folder = image_folder(images)
    contents = [folder.path(i).read_bytes() for i in folder.ids]
    categories = [*SHARED, "airplane_cabin", "cathedral/indoor"]
    count = written = 0
    with tarfile.open(path, "w:gz" if compress else "w", **({"compresslevel": 1} if compress else {})) as tar:  # type: ignore[call-overload]
        while written < size:
            content = contents[count % len(contents)]
            category = categories[count % len(categories)]
            info = tarfile.TarInfo(f"SUN397/{category[0]}/{category}/sun_{count:07d}.jpg")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            written += len(content) + 512
            count += 1
    return count


def image_id(name: str) -> str | None:
    """SUN397's rule, as in aopc.data.sources.sun397."""
    path = name.split("/", 2)[2]
    return path if path.rpartition("/")[0] in SHARED else None


def measure(path: Path, out: Path) -> dict[str, float]:
    """Wall time and peak memory of this process, which does nothing else."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    _, ids = unpack_subset(File(path, ""), out, image_id, Subset(COUNT, "sample", 0))
    seconds = time.perf_counter() - started
    assert len(ids) == COUNT
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mb": peak / 1024, "before_mb": before / 1024}


def read_through(path: Path) -> float:
    """Seconds to read the archive's members and do nothing with them."""
    started = time.perf_counter()
    with tarfile.open(path, "r|*") as tar:
        for _ in tar:
            tar.members = []
    return time.perf_counter() - started


def main() -> None:
    """Build, measure in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--gigabytes", type=float, default=2.2)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "SUN397.tar"
        count = build(path, options.images, options.gigabytes * 1e9, options.compress)
        size = path.stat().st_size
        reading = read_through(path)
        command = [sys.executable, __file__, "--images", str(options.images)]
        command += ["--measure", str(path), str(Path(folder) / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
    kind = "tar.gz" if options.compress else "tar"
    print(f"archive: {kind}, {size / 1e9:.2f} GB, {count} images")
    print(f"unpack {COUNT}: {found['seconds']:.1f} s, peak memory {found['peak_mb']:.0f} MB", end=" ")
    print(f"(of which {found['before_mb']:.0f} MB before it started)")
    print(f"only reading it: {reading:.1f} s; ratio {found['seconds'] / reading:.2f}")


if __name__ == "__main__":
    main()
