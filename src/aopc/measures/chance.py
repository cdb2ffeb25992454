"""Whether a network's accuracy is that of guessing: the usual sign of a wrong preprocessing or class list."""

from scipy import stats

#: How sure: of an accuracy above chance, and of one below what follows.
_LEVEL = 0.01
#: Parts of the way from guessing to all right: what is certainly near guessing, and what may be, on few images.
_NEAR, _PERHAPS = 0.05, 0.25
#: Fewer images say nothing: a good network, too, is wrong on a few.
_LEAST = 5


def no_better_than_chance(right: int, images: int, classes: int, before: str = "") -> str | None:
    """What to tell the user if an accuracy is near that of guessing among the network's classes, 1 / ``classes``.

    It is near if the accuracy is less than a quarter of the way from guessing to all right, and guessing gives so
    many right or more with a probability above 1 %, where all right would have shown the difference; or if its 99 %
    limit from above (Clopper, Pearson 1934) is less than 5 % of that way. Of fewer than five images nothing is said.
    ``before`` begins the message.

    Examples
    --------
    >>> no_better_than_chance(1, 24, 1000)[:78]
    'only 1 of 24 images is recognised, near what guessing among 1000 classes gives'
    >>> no_better_than_chance(17, 24, 1000)
    """
    if images < _LEAST or classes < 2:
        return None
    chance = 1 / classes
    low = right / images < chance + _PERHAPS * (1 - chance) and chance**images <= _LEVEL
    by_guessing = low and float(stats.binom.sf(right - 1, images, chance)) > _LEVEL
    limit = 1.0 if right == images else float(stats.beta.ppf(1 - _LEVEL, right + 1, images - right))
    if not by_guessing and limit >= chance + _NEAR * (1 - chance):
        return None
    return (
        f"{before}only {right} of {images} images {'is' if right == 1 else 'are'} recognised, near what guessing among"
        f" {classes} classes gives: check the preprocessing, the weights and the order of the classes, before anything"
        " that is computed here is believed"
    )
