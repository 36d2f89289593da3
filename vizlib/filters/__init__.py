"""Which pattern does a channel look for? Objective, parameterisation, transforms, optimiser.

`objectives` say what a picture is made for and `readings` read it off the network;
`parameterisations` say which numbers stand for the picture, `transforms` how it is shown to the
network, `optimisers` how far to go in each step; `recipes` put them together, `ascent` takes the
steps, and `patterns` holds the questions that can be asked.
"""

from vizlib.filters import objectives
from vizlib.filters.objectives import Objective
from vizlib.filters.patterns import (
    FilterPatterns,
    diverse_patterns,
    filter_patterns,
    optimize,
)
from vizlib.filters.recipes import FILTER_RECIPES, FilterRecipe

__all__ = [
    "FILTER_RECIPES",
    "FilterPatterns",
    "FilterRecipe",
    "Objective",
    "diverse_patterns",
    "filter_patterns",
    "objectives",
    "optimize",
]
