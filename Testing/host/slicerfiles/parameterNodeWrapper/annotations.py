"""What a parameter's type may be annotated with: Annotated[float, WithinRange(0, 1), Default(0.5)]."""

import dataclasses
import typing


@dataclasses.dataclass
class Default:
    value: object = None
    generator: object = dataclasses.field(default=None, kw_only=True)

    def make(self):
        return self.generator() if self.generator else self.value


@dataclasses.dataclass
class Decimals:
    value: int


@dataclasses.dataclass
class SingleStep:
    value: float


@dataclasses.dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclasses.dataclass
class Minimum:
    minimum: float

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclasses.dataclass
class Maximum:
    maximum: float

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclasses.dataclass
class Choice:
    choices: list

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


@dataclasses.dataclass
class Exclude:
    excludedValues: list

    def validate(self, value):
        if value in self.excludedValues:
            raise ValueError(f"Value must not be one of {self.excludedValues}, is {value}")


def split(annotatedType):
    """The bare type and the list of its annotations."""
    if typing.get_origin(annotatedType) is typing.Annotated:
        return annotatedType.__origin__, list(annotatedType.__metadata__)
    return annotatedType, []


def find(annotations, kind):
    """The first annotation of this kind, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)
