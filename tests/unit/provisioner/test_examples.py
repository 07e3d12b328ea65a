"""Each deployment.yml among the examples is one that can be made, and says of itself what is true."""

import re
from pathlib import Path

import pytest

from provisioner import config
from tests.unit.provisioner.moto_account import Account, changes

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/deployments").glob("*.yml"))
NUMBERS = {"three": 3, "six": 6, "ten": 10}


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_would_be_made(account: Account, path: Path) -> None:
    deployment = config.load(path)
    planned = changes(account.plan(**deployment.model_dump(exclude_unset=True)))
    assert set(planned.values()) == {"create"}
    assert {"network", "artifacts"} <= set(planned)
    assert ("server" in planned) == (deployment.server.count == 1)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_costs_and_how_it_is_used(account: Account, path: Path) -> None:
    text, deployment = path.read_text(encoding="utf-8"), config.load(path)
    named = [one.name for one in account.graph(**deployment.model_dump(exclude_unset=True))]
    of_rds = deployment.database.engine != "none"
    (said,) = re.findall(r"(\w+) secrets \$", text) or re.findall(r"(\w+) secrets", text)
    assert int(NUMBERS.get(said, said)) == sum(name.startswith("secret_") for name in named) + of_rds
    assert re.search(r"About \$\d+ a month", text)
    assert f"python provision.py --config examples/deployments/{path.name}\n" in text


def test_two_projects_share_a_cluster_that_takes_over_by_itself(account: Account) -> None:
    (path,) = (one for one in EXAMPLES if one.stem == "aurora_projects")
    planned = changes(account.plan(**config.load(path).model_dump(exclude_unset=True)))
    assert {"database_aurora", "database_aurora_1", "database_aurora_2"} <= set(planned)
    assert {"artifacts_role", "artifacts_role_churn", "secret_churn_admin"} <= set(planned)
