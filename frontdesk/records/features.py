"""Which features of a feature store are inputs beside the columns of a table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FeatureColumns(BaseModel):
    """Features that are looked up by the keys that a row or a request carries.

    Attributes:
        service: the feature service: the version of the features that the model is trained and served with.
        entities: ``{entity: column that holds its key}``.
        categorical, numeric: features of the service that become inputs, under their own names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str
    entities: dict[str, str] = Field(min_length=1)
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> FeatureColumns:
        names = self.names
        if not names:
            raise ValueError("no feature: name at least one under categorical or numeric")
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"features named twice: {', '.join(doubles)}")
        if both := sorted(set(names) & set(self.entities.values())):
            raise ValueError(f"a feature cannot be the key of an entity too: {', '.join(both)}")
        return self

    @property
    def names(self) -> list[str]:
        """Every feature: categories, then numbers."""
        return [*self.categorical, *self.numeric]
