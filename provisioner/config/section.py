"""What all parts of deployment.yml have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from provisioner.config import rules

Text = Annotated[str, BeforeValidator(rules.text)]


class Section(BaseModel):
    """A part of deployment.yml: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
