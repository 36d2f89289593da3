"""Recipes: what is changed, what the network is shown of it, and how each step is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vizlib import bfloat16
from vizlib.errors import InvalidArgumentError
from vizlib.filters.optimisers import Optimiser, adam, nadam, normalised
from vizlib.filters.parameterisations import Parameterisation, fourier, phases, pixels
from vizlib.filters.spectra import modelled_spectrum, photo_spectrum
from vizlib.filters.transforms import View, random_crop, robust_view


@dataclass(frozen=True)
class FilterRecipe:
    """How a picture is made for an objective.

    Attributes
    ----------
    title : str
        One sentence for menus.
    steps : int
        Steps taken unless asked otherwise.
    parameterisation : Parameterisation
    optimiser : Optimiser
    view : callable, optional
        What the network is shown of the picture in each step, a `transforms.View`; the picture as
        it is by default.
    roams : bool
        Whether, for the mean of a whole map, a view begins anywhere in the picture, which goes on
        at the other side where it ends. No place is special then, and a plain colour stays plain.
    noise : float
        Spread, of 255, of the noise added to each view.
    transparency : bool
        Whether to note which places of the picture the objective rests on.
    exact : bool
        Whether every number has 32 bits even where half of them would be faster, see
        `vizlib.bfloat16`.
    """

    title: str
    steps: int
    parameterisation: Parameterisation
    optimiser: Optimiser
    view: View | None = None
    roams: bool = False
    noise: float = 0.0
    transparency: bool = False
    exact: bool = False

    @property
    def rounded(self) -> bool:
        """Whether the network is run in bfloat16 on this machine."""
        return not self.exact and bfloat16.is_fast()


#: Typical change of a pixel in one step, of 255: the book's step of 10 on a 0..1 picture of
#: 200 x 200 under the L2 norm.
_CLASSIC_STEP = 255 * 10 / math.sqrt(200 * 200 * 3)

#: Every recipe by name.
FILTER_RECIPES = {
    "fourier": FilterRecipe(
        title="Robust patterns: weighed waves, seen from ever new sides",
        steps=256,
        parameterisation=fourier(),
        # Twice Lucid's rate, as the floor makes most steps shorter.
        optimiser=adam(0.1, floor=0.05),
        view=robust_view,
        roams=True,
    ),
    "maco": FilterRecipe(
        title="Natural waves, moved only: the mean spectrum of photos, with transparency",
        steps=256,
        parameterisation=phases(photo_spectrum),
        optimiser=nadam(0.3),
        view=random_crop,
        noise=4.0,
        transparency=True,
    ),
    "maco-1/f": FilterRecipe(
        title="Natural waves, moved only: the spectrum 1/frequency, with transparency",
        steps=256,
        parameterisation=phases(modelled_spectrum),
        optimiser=nadam(0.3),
        view=random_crop,
        noise=4.0,
        transparency=True,
    ),
    "classic": FilterRecipe(
        title="The book's: grey noise, normalised gradient, standardised colours",
        steps=30,
        parameterisation=pixels(),
        optimiser=normalised(_CLASSIC_STEP),
        exact=True,
    ),
}


def filter_recipe(name: str) -> FilterRecipe:
    """Look a recipe up by name.

    Raises
    ------
    InvalidArgumentError
        With the names there are.
    """
    if name not in FILTER_RECIPES:
        raise InvalidArgumentError(
            f"Expected recipe to be one of {', '.join(FILTER_RECIPES)}. Received: {name!r}."
        )
    return FILTER_RECIPES[name]
