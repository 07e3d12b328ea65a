"""The second run, and what happens to a running server: nothing of it needs a hand."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import FirstRun
from deployed import Deployment, ask, changes, mutating, run, served, until

pytestmark = pytest.mark.timeout(1800)

PATIENT = {"Delay": 1, "MaxAttempts": 300}


def main_process(deployment: Deployment) -> str:
    """The process id of the serving MLflow."""
    return deployment.host("systemctl show --property=MainPID --value 'mlflow@*.service'").strip()


def test_the_first_run_says_what_to_do_next(first_run: FirstRun) -> None:
    assert "ansible-playbook site.yml" in first_run.provision
    assert changes(first_run.site)


def test_a_second_provision_changes_nothing_and_says_so(deployment: Deployment) -> None:
    before = len(deployment.sandbox.calls())
    said = deployment.provision().stdout
    # The host asks for its secrets meanwhile, when it is time.
    calls = [call for call in deployment.sandbox.calls()[before:] if call["source"] == "controller"]
    assert "nothing to do" in said.lower()
    assert mutating(calls) == []
    # Two for each of the 26 resources, two more for each of the two roles: what they are, and what EC2, IAM,
    # RDS and S3 tell of them apart.
    assert 0 < len(calls) <= 56, [f"{call['service']}:{call['action']}" for call in calls]


def test_plan_status_and_outputs_change_nothing(deployment: Deployment) -> None:
    before = len(deployment.sandbox.calls())
    for command in ("plan", "status", "outputs", "client"):
        deployment.provision(command)
    assert mutating(deployment.sandbox.calls()[before:]) == []


def test_a_second_site_changes_nothing(deployment: Deployment) -> None:
    process = main_process(deployment)
    assert changes(deployment.playbook("site.yml").stdout) == []
    assert main_process(deployment) == process


def test_check_mode_works_on_a_configured_host(deployment: Deployment) -> None:
    assert changes(deployment.playbook("site.yml", "--check", "--diff").stdout) == []


def test_a_security_group_opened_by_hand_is_set_right(deployment: Deployment) -> None:
    ec2 = deployment.sandbox.client("ec2")
    group = deployment.instances()[0]["SecurityGroups"][0]["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert "5000" in deployment.provision("plan", check=False).stdout
    deployment.provision()
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert sorted(rule["FromPort"] for rule in rules) == [22, 443]


def test_what_is_no_longer_wanted_goes_and_a_secret_only_by_its_name(deployment: Deployment) -> None:
    name, vpc = deployment.provisioned["deployment"], deployment.instances()[0]["VpcId"]
    of = {"flowstead:deployment": name, "flowstead:resource": "older"}
    tags = [{"Key": key, "Value": value} for key, value in of.items()]
    ec2, secrets = deployment.sandbox.client("ec2"), deployment.sandbox.client("secretsmanager")
    group = ec2.create_security_group(
        GroupName="older",
        Description="older",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    secrets.create_secret(Name=f"flowstead/{name}/older", SecretString="{}", Tags=tags)
    assert f"- security group older ({group})" in deployment.provision("plan", check=False).stdout
    said = deployment.provision()
    filters = [{"Name": "group-id", "Values": [group]}]
    assert ec2.describe_security_groups(Filters=filters)["SecurityGroups"] == []
    assert f"--remove flowstead/{name}/older" in said.stdout
    deployment.provision("--remove", f"flowstead/{name}/older")
    assert "DeletedDate" in secrets.describe_secret(SecretId=f"flowstead/{name}/older")
    assert "nothing to do" in deployment.provision().stdout.lower()


def test_a_password_changed_in_mlflow_and_in_the_secret_is_taken_over_without_a_restart(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    """The server started with the old one in its environment; the next run asks questions as the admin."""
    secrets = deployment.sandbox.client("secretsmanager")
    arn = deployment.provisioned["projects"][0]["admin"]["secret_arn"]
    process = main_process(deployment)
    old = client_environment["MLFLOW_TRACKING_PASSWORD"]
    new = client_environment | {"MLFLOW_TRACKING_PASSWORD": "changed-in-the-account-menu"}
    for before, after in ((client_environment, new), (new, client_environment)):
        password = after["MLFLOW_TRACKING_PASSWORD"]
        body = {"username": "admin", "password": password}
        body["current_password"] = before["MLFLOW_TRACKING_PASSWORD"]
        status, said = ask(before, "/api/2.0/mlflow/users/update-password", method="PATCH", body=body)
        assert status == 200, said
        value = json.dumps({"username": "admin", "password": password})
        secrets.put_secret_value(SecretId=arn, SecretString=value)
        until(lambda old=before: ask(old)[0] == 401, "the old password forgotten", pause_s=5)  # type: ignore[misc]
        if password != old:
            assert changes(deployment.playbook("site.yml", "--tags", "mlflow").stdout) == []
    assert main_process(deployment) == process
    assert served(client_environment)


def test_killed_server_serves_again(deployment: Deployment, client_environment: dict[str, str]) -> None:
    process = main_process(deployment)
    deployment.host(f"kill -9 {process}")
    until(lambda: main_process(deployment) not in {process, "0"}, "a new process")
    until(lambda: served(client_environment), "served again")


def test_rebooted_database_is_waited_for(deployment: Deployment, client_environment: dict[str, str]) -> None:
    rds = deployment.sandbox.client("rds")
    name = rds.describe_db_instances()["DBInstances"][0]["DBInstanceIdentifier"]
    process = main_process(deployment)
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    until(lambda: served(client_environment), "served again")
    assert main_process(deployment) == process, "the server had to be restarted"


@pytest.mark.usefixtures("example_output")
def test_rebooted_host_serves_again_with_everything_it_had(
    deployment: Deployment, client_environment: dict[str, str], run_ids: dict[str, str]
) -> None:
    booted = "stat --format=%Y /proc/1"
    before = deployment.host(booted)
    deployment.sandbox.client("ec2").reboot_instances(InstanceIds=[deployment.instance_id])
    until(lambda: deployment.host(booted, check=False) not in {"", before}, "rebooted")
    until(lambda: served(client_environment), "served again")
    path = f"/api/2.0/mlflow/runs/get?run_id={run_ids['log_a_run']}"
    assert ask(client_environment, path)[0] == 200
    state = "systemctl is-system-running"
    until(lambda: deployment.host(state, check=False).strip() == "running", "a boot without a failed unit")


def test_stopped_and_started_host_keeps_its_address(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    ec2, instance = deployment.sandbox.client("ec2"), deployment.instance_id
    ec2.stop_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig=PATIENT)
    assert not served(client_environment)
    ec2.start_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig=PATIENT)
    until(lambda: served(client_environment), "served again at the same address")


def test_fab_status_shows_that_it_answers(deployment: Deployment) -> None:
    said = run("fab", "status", cwd=deployment.clone, env=deployment.environment).stdout
    assert "answers (experiment 'Default' read from the database)" in said
    assert re.search(r"failed:\n\s+none", said)
    counted = re.search(r"(\d+) open by MLflow, which takes (\d+) at most; (\d+) by all, of .* (\d+)\n", said)
    assert counted, said
    mine, most, everybody, there_are = map(int, counted.groups())
    # Two releases run together during an upgrade.
    assert 0 < mine <= most, said
    assert mine <= everybody, said
    assert 2 * most < there_are, said


def test_fab_logs_and_password(deployment: Deployment, client_environment: dict[str, str]) -> None:
    logs = run("fab", "logs", "--lines", "20", cwd=deployment.clone, env=deployment.environment).stdout
    assert "mlflow" in logs
    password = run("fab", "password", cwd=deployment.clone, env=deployment.environment).stdout
    assert password.strip() == client_environment["MLFLOW_TRACKING_PASSWORD"]


def test_fab_makes_a_user_who_may_log_and_takes_them_away(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    def fab(*words: str, told: str = "") -> str:
        return run("fab", *words, cwd=deployment.clone, env=deployment.environment, text=told).stdout

    assert fab("user.add", "ada", told="a password of hers\n") == "ada is a user.\n"
    hers = client_environment | {
        "MLFLOW_TRACKING_USERNAME": "ada",
        "MLFLOW_TRACKING_PASSWORD": "a password of hers",
    }
    assert ask(hers)[0] == 200
    assert "ada has DENY on Default" in fab("user.grant", "ada", "DENY", "--experiment", "Default")
    assert ask(hers)[0] == 403
    assert "ada\n" in fab("user.list")
    fab("user.remove", "ada")
    until(lambda: ask(hers)[0] == 401, "refused")


def test_guessing_passwords_is_slowed_down(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    guesses = [client_environment | {"MLFLOW_TRACKING_PASSWORD": f"guess-{number}"} for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(lambda guess: ask(guess)[0], guesses))
    assert 429 in statuses, "60 guesses were all answered"
    assert statuses <= {401, 429, 503}
    # Somebody who knows the password is not kept out for long, from the same address either.
    time.sleep(5)
    until(lambda: served(client_environment), "served again", timeout_s=90)
    assert deployment.provision("status").returncode == 0
