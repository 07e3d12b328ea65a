"""Each deployment.yml among the examples is one that can be made."""

from pathlib import Path

import pytest

from provisioner import config
from tests.unit.provisioner.moto_account import Account, changes

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/deployments").glob("*.yml"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_would_be_made(account: Account, path: Path) -> None:
    deployment = config.load(path)
    planned = changes(account.plan(**deployment.model_dump(exclude_unset=True)))
    assert set(planned.values()) == {"create"}
    assert {"server", "network", "artifacts"} <= set(planned)
