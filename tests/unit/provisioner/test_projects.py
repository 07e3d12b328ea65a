"""Projects that share a server: what each has of its own, how one comes, and how one goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from provisioner import collecting, stack
from provisioner.config import Deployment, project_rules
from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.errors import NotOfferedError
from provisioner.resources.base import Live
from provisioner.resources.ec2 import instance_memory
from provisioner.resources.state import State
from tests.unit.provisioner.copies import Copies
from tests.unit.provisioner.moto_account import ACCESS, CODE, PUBLIC_KEY, REGION, Account, changes, settings

OWN = {
    "secret_churn_database_owner",
    "secret_churn_database_application",
    "secret_churn_admin",
    "secret_churn_server_keys",
    "artifacts_role_churn",
}
SHARED = {"artifacts", "server_role"}
TWO: dict[str, Any] = {"projects": [{"name": "default"}, {"name": "churn"}]}
BUCKET = "flowstead-123456789012-us-east-1"
PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
_stack = Copies()


@pytest.fixture
def two(account: Account) -> Account:
    """The account with a finished deployment of two projects."""
    _stack.begin(lambda: account.apply(**TWO))
    account.calls.clear()
    return account


def policy(account: Account, role: str) -> dict[str, Any]:
    name = f"flowstead-flowstead-{REGION}-{role}"
    found = account.call("iam", "get_role_policy", RoleName=name, PolicyName="flowstead")
    return {one["Sid"]: one for one in found["PolicyDocument"]["Statement"]}


def test_two_projects_are_made_once_and_found_again(two: Account) -> None:
    planned = two.plan(**TWO)
    assert planned.is_empty
    assert planned.notices == ()


def test_a_project_that_is_added_disturbs_no_other(stacked: Account) -> None:
    planned = stacked.plan(**TWO)
    made = {name for name, action in changes(planned).items() if action == "create"}
    assert made == OWN
    changed = {name for name, action in changes(planned).items() if action == "update"}
    secrets = {name for name in changed if name.startswith("secret_")}
    assert changed == SHARED | secrets
    # What a stranger to them is has one more name; nothing of a host or a database is touched.
    assert all(settings(planned, name) == {"resource policy"} for name in secrets)
    assert settings(planned, "server_role") == {"policy"}
    stacked.apply(**TWO)
    assert stacked.plan(**TWO).is_empty


def test_a_project_has_a_role_that_reaches_its_own_folder_only(two: Account) -> None:
    own, other = policy(two, "mlflow-churn"), policy(two, "mlflow")
    assert own["Artifacts"]["Resource"] == f"arn:aws:s3:::{BUCKET}/churn/artifacts/*"
    assert own["ListThem"]["Condition"] == {
        "StringLike": {"s3:prefix": ["churn/artifacts", "churn/artifacts/*"]}
    }
    assert other["Artifacts"]["Resource"] == f"arn:aws:s3:::{BUCKET}/artifacts/*"
    assert set(own) == set(other) == {"Artifacts", "ListThem"}


def test_no_process_that_users_talk_to_reads_a_secret(two: Account) -> None:
    for name in ("admin", "churn-admin"):
        secret = two.call("secretsmanager", "get_resource_policy", SecretId=f"flowstead/flowstead/{name}")
        statements = {one["Sid"]: one for one in json.loads(secret["ResourcePolicy"])["Statement"]}
        strangers = statements["NotForWhomUsersTalkTo"]["Condition"]["ArnEquals"]["aws:PrincipalArn"]
        roles = [f"flowstead-flowstead-{REGION}-mlflow", f"flowstead-flowstead-{REGION}-mlflow-churn"]
        assert strangers == [f"arn:aws:iam::123456789012:role/{role}" for role in roles]


def test_a_project_that_is_removed_keeps_its_data(two: Account) -> None:
    planned = two.plan()
    going = {name for name, action in changes(planned).items() if action == "delete"}
    assert going == {"artifacts_role_churn"}
    assert settings(planned, "artifacts") == {
        f"lifecycle rule flowstead-of-churn-{what}" for what in ("artifacts", "backups")
    }
    staying = [notice for notice in planned.notices if "is no longer wanted, and stays" in notice]
    assert len(staying) == len(OWN) - 1
    two.apply()
    assert two.plan().is_empty
    assert not [name for name in two.calls if name.startswith(("DeleteObject", "DeleteSecret"))]
    rules = two.call("s3", "get_bucket_lifecycle_configuration", Bucket=BUCKET)["Rules"]
    assert {rule["ID"] for rule in rules} == {"flowstead", "flowstead-backups"}
    # It comes back with the same passwords.
    before = two.call("secretsmanager", "get_secret_value", SecretId="flowstead/flowstead/churn-admin")
    two.apply(**TWO)
    after = two.call("secretsmanager", "get_secret_value", SecretId="flowstead/flowstead/churn-admin")
    assert two.plan(**TWO).is_empty
    assert before["SecretString"] == after["SecretString"]


def test_what_a_removed_project_leaves_goes_by_name(two: Account) -> None:
    two.apply()
    aws = two.open()
    names = {
        f"flowstead/flowstead/{name[7:].replace('_', '-')}" for name in OWN if name.startswith("secret_")
    }
    planned = plan.make(two.graph(), aws, names)
    assert changes(planned) == dict.fromkeys(OWN - {"artifacts_role_churn"}, "delete")
    apply(planned, aws)
    assert two.plan().is_empty
    assert two.plan().notices == ()


def test_the_outputs_name_what_each_project_has(two: Account) -> None:
    deployment = Deployment.model_validate(TWO)
    context = stack.Context(deployment, "123456789012", ACCESS, PUBLIC_KEY, "#cloud-config\n", CODE)
    made, aws = stack.build(context), two.open()
    place = collecting.Place("123456789012", "", Path("/x"))
    outputs = collecting.collect(deployment, made, collecting.look_up(made, aws), place)
    default, churn = outputs.projects
    assert (default.name, default.path, default.artifacts_prefix) == ("default", "", "artifacts")
    assert (churn.name, churn.path) == ("churn", "/churn")
    assert (churn.artifacts_prefix, churn.backups_prefix) == ("churn/artifacts", "churn/backups")
    assert churn.artifacts_role_arn.endswith("-mlflow-churn")
    assert churn.database_logins
    assert churn.database_logins.owner.username == "mlflow_churn_owner"
    assert churn.database_logins.application.username == "mlflow_churn_application"
    arns = {
        *(churn.admin.secret_arn, churn.server_keys_secret_arn),
        *(churn.database_logins.owner.secret_arn, churn.database_logins.application.secret_arn),
    }
    assert arns < set(outputs.host_secret_arns)
    assert len(outputs.host_secret_arns) == 2 * len(arns)


@pytest.mark.parametrize(
    ("instance_type", "number", "words"),
    [
        ("t3.small", 4, "t3.small has memory (2 GiB) for 3 projects; choose t3.medium"),
        ("t3.micro", 2, "t3.micro has memory (1 GiB) for 1 project; choose t3.small"),
        ("t3.small", 3, ""),
    ],
)
def test_one_project_too_many_is_refused_with_the_type_that_would_do(
    account: Account, instance_type: str, number: int, words: str
) -> None:
    names = ["default", *(f"p{index}" for index in range(1, number))]
    wanted = {
        "projects": [{"name": name} for name in names],
        "server": {"instance_type": instance_type},
    }
    if not words:
        assert changes(account.plan(**wanted))
        return
    with pytest.raises(NotOfferedError) as caught:
        account.plan(**wanted)
    (mistake,) = caught.value.mistakes
    assert mistake == (f"projects.{number - 1}", f"is one too many: server.instance_type {words}")


def test_the_memory_is_what_the_roles_reckon_with() -> None:
    text = (PLUGINS / "action/flowstead_mlflow_facts.py").read_text()
    has = {name: int(value) for name, value in re.findall(r"^(\w+)_MIB = (\d+)$", text, re.MULTILINE)}
    assert has["RESERVED"] == instance_memory.SYSTEM_MIB
    assert has["BASE"] + has["WORKER"] == instance_memory.PROJECT_MIB


def test_the_hosts_policy_has_room_for_as_many_as_there_may_be(account: Account) -> None:
    """With the longest names; the limit is IAM's, blanks left out."""
    names = ["default", *(f"project-{index}-abc" for index in range(1, project_rules.most_projects))]
    assert all(len(name) == project_rules.most_characters for name in names[1:])
    wanted = {
        "name": "a" * 31,
        "region": "ap-northeast-1",
        "projects": [{"name": name} for name in names],
        "server": {"instance_type": "t3.large"},
    }
    graph: Any = account.graph(**wanted)
    role, state = graph["server_role"], State()
    for resource in graph:
        if resource.name.startswith("secret_"):
            ending = f"secret:{resource.secret_name}-AbCdEf"
            arn = f"arn:aws:secretsmanager:ap-northeast-1:123456789012:{ending}"
            state.put(resource, Live(id=resource.name, arn=arn))
        elif resource.name == "artifacts":
            state.put(resource, Live(id="b", arn=f"arn:aws:s3:::{'b' * 63}"))
    text = json.dumps(role.permissions(state), separators=(",", ":"))
    assert len(text) <= 10240
    roles = [one.role_name for one in graph if one.name.startswith("artifacts_role")]
    assert len(set(roles)) == len(names)
    assert max(map(len, roles)) <= 64
