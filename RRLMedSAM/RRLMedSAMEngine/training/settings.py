"""How a model is to be adapted."""

import dataclasses

from ..errors import bad_input
from ..networks.sizes import Sizes
from .trainer import Settings as TrainerSettings


@dataclasses.dataclass(frozen=True)
class Settings:
    """``minutes``: for everything. ``base``: model to begin with, as `models.find` takes it, or None.
    ``teacher``: as `teachers.open_teacher` takes it, whose features are distilled into the general encoder, or None.
    ``sizes``, ``trainer``: what the ablations switch; a model to begin with brings its sizes."""

    minutes: float = 30.0
    device: str = "auto"
    seed: int = 0
    base: str | None = None
    teacher: str | None = None
    sizes: Sizes = Sizes()
    trainer: TrainerSettings = TrainerSettings()

    def check(self, examples) -> None:
        """Raises EngineError (bad_input) where they do not go together, or not with labelled ``examples``."""
        trained = self.trainer
        if examples and not trained.optimised:
            raise bad_input("Examples need instance optimisation.", "Leave out the examples or that switch.")
        if trained.decoders_alone and (self.base is None or self.teacher or not trained.optimised):
            raise bad_input("Decoders learn alone from a trained model only.", "Train all networks.")

    @classmethod
    def restored(cls, values: dict) -> "Settings":
        """From what `dataclasses.asdict` made of them and JSON kept. Raises KeyError or TypeError for anything else."""
        sizes = {**values["sizes"], "channels": tuple(values["sizes"]["channels"])}
        return cls(**{**values, "sizes": Sizes(**sizes), "trainer": TrainerSettings(**values["trainer"])})
