"""How the program's threads wait."""

import os


def wait_briefly() -> None:
    """Let idle OpenMP threads sleep after some microseconds of spinning; before torch is imported.

    GNU OpenMP lets a thread that waits spin for milliseconds, which takes the core from one that
    works wherever another process runs too: two evaluations side by side on two cores ran at an
    eighth of their speed. With this count, two run at half speed each and one alone as fast as
    ever; sleeping at once (OMP_WAIT_POLICY=PASSIVE) costs small networks a fifth.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
