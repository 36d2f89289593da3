"""How filter patterns are made: recipe, size, steps and seed."""

from dataclasses import dataclass

import streamlit as st

import vizlib
from pages.ui import language, links
from pages.ui.computing import Order
from pages.ui.language import say
from pages.ui.retelling import retold

MIN_SIDE = 16
MOST_STEPS = 2000


@dataclass(frozen=True)
class Making:
    """What a visitor has chosen."""

    recipe: str
    size: int
    steps: int
    seed: int

    def order(self, network_key: str, layer: str, channels: tuple[int, ...]) -> Order:
        """Order patterns made in this way."""
        return Order(network_key, layer, channels, self.recipe, self.size, self.steps, self.seed)

    @property
    def options(self) -> dict[str, object]:
        """Options of `vizlib.filter_patterns` and its kin."""
        return {
            "recipe": self.recipe,
            "size": self.size,
            "steps": self.steps,
            "seed": self.seed,
        }


def choose(convnet: vizlib.ConvNet) -> Making:
    """Draw the controls."""
    recipes = vizlib.FILTER_RECIPES
    links.follow("recipe", recipes, key="filter_recipe")
    recipe = st.selectbox(
        say("making.recipe"),
        list(recipes),
        index=language.place("filter_recipe", list(recipes)),
        format_func=_recipe_title,
        key="filter_recipe",
        persist_state="session",
        help=say("making.help_recipe"),
    )
    links.keep("recipe", recipe)
    with st.expander(say("making.amounts"), key="filter_amounts"):
        return Making(recipe, *_amounts(convnet, recipe))


def _recipe_title(name: str) -> str:
    title = retold(vizlib.FILTER_RECIPES[name].title)
    return say("making.recipe_title", name=name, title=title)


def _amounts(convnet: vizlib.ConvNet, recipe: str) -> tuple[int, int, int]:
    size, steps, seed = st.columns(3)
    side = size.number_input(
        say("making.side"),
        MIN_SIDE,
        512,
        min(160, max(MIN_SIDE, *convnet.input_size)),
        16,
        key=f"filter_size:{convnet.name}",
        persist_state="session",
        help=say("making.help_side"),
    )
    count = steps.number_input(
        say("making.steps"),
        1,
        MOST_STEPS,
        vizlib.FILTER_RECIPES[recipe].steps,
        key=f"filter_steps:{recipe}",
        persist_state="session",
        help=say("making.help_steps"),
    )
    links.follow("seed", range(10_001), key="filter_seed")
    number = seed.number_input(
        say("making.seed"),
        0,
        10_000,
        0,
        key="filter_seed",
        persist_state="session",
        help=say("making.help_seed"),
    )
    links.keep("seed", number)
    return side, count, number
