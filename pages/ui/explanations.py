"""Heatmaps as pages order them: quick ones at once, long ones in the background."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import vizlib
from pages.ui import computing, jobs
from pages.ui.language import say
from pages.ui.selection import Selection

#: Methods whose values are parts of the class score.
IN_LOGITS = {
    *("Grad-CAM", "HiResCAM", "XGrad-CAM", "Finer-CAM", "Gradient x input"),
    *("Integrated Gradients", "Occlusion", "RISE"),
}


@dataclass(frozen=True)
class Question:
    """Where does the score of one class come from?

    ``layer`` is empty for methods that look at pixels.
    """

    chosen: Selection
    method: str
    layer: str
    class_index: int

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """All that its answer depends on."""
        network, photo = self.chosen.network.key, self.chosen.photo.key
        return network, photo, self.method, self.layer, self.class_index

    @property
    def long(self) -> bool:
        """Whether the method runs the network so often that it reports progress."""
        return "progress" in inspect.signature(self._ask).parameters

    def answer(self, progress: jobs.Progress | None = None) -> vizlib.Heatmap:
        """Compute the heatmap."""
        if not self.long:
            return computing.heatmap(*self.key, self.chosen)
        return self._ask(
            self.chosen.convnet,
            self.chosen.image,
            class_index=self.class_index,
            layer=self.layer or None,
            progress=progress,
        )

    @property
    def _ask(self):
        return vizlib.HEATMAP_METHODS[self.method]


def answers(slot: str, questions: Sequence[Question], title: str) -> list[vizlib.Heatmap] | None:
    """Find or compute heatmaps; None while they are at work, which is shown."""
    if not any(question.long for question in questions):
        return [question.answer() for question in questions]

    def compute(progress: jobs.Progress) -> list[vizlib.Heatmap]:
        return [
            question.answer(jobs.share(progress, number, len(questions)))
            for number, question in enumerate(questions)
        ]

    key = tuple(question.key for question in questions)
    return jobs.result(slot, jobs.Job(key, title), compute)


def described(question: Question, found: vizlib.Heatmap) -> str:
    """Say what a heatmap shows, for those who do not see it."""
    chosen = question.chosen
    return say(
        "explanations.class_free" if found.class_free else "explanations.of_class",
        method=found.method,
        layer=short(layer_of(found)),
        label=chosen.convnet.label(found.class_index),
        photo=chosen.photo.title,
    )


def layer_of(found: vizlib.Heatmap) -> str:
    """What a heatmap looked at, by name: a layer, or the pixels that the network receives."""
    return say("explanations.input") if found.method in vizlib.PIXEL_METHODS else found.layer


def short(layer: str) -> str:
    """The last part of a layer's path, for captions."""
    return layer.rsplit("/", 1)[-1]
