"""What a removal is called in sentences, captions and figures, so that they say what was done."""

PAPERS_REMOVAL = "uniform"
#: Removal → what becomes of a region; others are what their name says.
_REPLACED = {
    "uniform": "replaced by noise",
    "dirichlet": "replaced by Dirichlet noise",
    "mean": "replaced by the image's mean colour",
    "blur": "blurred",
}


def replaced(removal: str) -> str:
    """What becomes of a region, to follow "is" or "are"."""
    return _REPLACED.get(removal, f"replaced by {removal}")


def taken(removal: str) -> str:
    """How AOPC is taken: where the removal is the paper's, as the paper does."""
    return "as the paper takes it" if removal == PAPERS_REMOVAL else f"with regions that are {replaced(removal)}"
