"""Numbers that papers report of heatmaps, and what each says."""

from __future__ import annotations

from dataclasses import dataclass

#: What each measure says, by its name.
_MEANINGS = {
    "mu-fidelity": (
        "Where random parts of the photo are blacked out, does the score lose what the map says "
        "they are worth? The correlation of both: 1 is perfect, 0 is chance."
    ),
    "ROAD": (
        "Pixels give way to the mean of those around them: the class should go when the marked "
        "ones go first, and stay when they go last. The difference of the two mean probabilities, "
        "from -1 to 1."
    ),
    "Average drop": (
        "The photo turns black where the map is low. How much of the probability of the class is "
        "lost, in percent?"
    ),
    "Average increase": (
        "The photo turns black where the map is low. Of how many percent of the photos thus made "
        "is the network surer of the class than of the whole photo? One map makes one: 0 or 100."
    ),
}
_LOWER_IS_BETTER = {"Average drop"}


@dataclass(frozen=True)
class Measure:
    """One number of a heatmap beside those of maps that know nothing.

    Attributes
    ----------
    name : {"mu-fidelity", "ROAD", "Average drop", "Average increase"}
    heatmap, random, centre : float
        Of the heatmap; of random maps on average; of a blob in the middle of the photo.
    """

    name: str
    heatmap: float
    random: float
    centre: float

    @property
    def meaning(self) -> str:
        """What the number says, in a sentence or two."""
        return _MEANINGS[self.name]

    @property
    def higher_is_better(self) -> bool:
        """Which way is up."""
        return self.name not in _LOWER_IS_BETTER

    @property
    def beats_both(self) -> bool:
        """Whether the heatmap is better than random maps on average and than the blob."""
        sign = 1 if self.higher_is_better else -1
        return sign * self.heatmap > max(sign * self.random, sign * self.centre)
