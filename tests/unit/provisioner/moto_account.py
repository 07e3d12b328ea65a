"""An account in this process (moto), and what a user does with it."""

import collections
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id
from moto.rds.exceptions import RDSClientError

from provisioner import stack
from provisioner.aws import Aws
from provisioner.config import Deployment
from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.engine.graph import Graph
from provisioner.engine.plan import Plan
from provisioner.resources.state import State
from tests.unit.provisioner.lifecycle_policies import Policies

REGION = "us-east-1"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeF6byvStbrrEQchCHWax7+mnBVBO/31mhKJRbC2cA3 ops@example"
ACCESS = ("203.0.113.7/32",)
CODE = "0.1.0 0123456789ab"
"""Today's code of the roles, as far as the account is told."""
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


_CLIENTS: dict[tuple[str | int, ...], Any] = {}
_LOCK = threading.RLock()


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def image(number: int, name: str, date: str) -> dict[str, Any]:
    return {
        "ami_id": f"ami-0000000000000{number:04d}",
        "name": name,
        "description": name,
        "owner_id": "136693071363",
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "platform": None,
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
        "creation_date": f"{date}T00:00:00.000Z",
    }


IMAGES = (
    image(1, "debian-13-amd64-20260901-1", "2026-09-01"),
    image(2, "debian-13-amd64-20261001-1", "2026-10-01"),
    image(3, "debian-12-amd64-20261001-1", "2026-10-01"),
)


def associated_profile(host: Any) -> dict[str, str] | None:
    """Give a host's instance profile as EC2 does, with the profile's own id; moto gives the association's."""
    association = host.ec2_backend.iam_instance_profile_associations.get(host.id)
    profile = association and association.iam_instance_profile
    return {"Arn": profile.arn, "Id": profile.id} if profile else None


def described_credits(asked: Any) -> ActionResult:
    """Tell the credits that a host was given; moto gives all the same and takes no others."""
    hosts = [asked.ec2_backend.get_instance(id_) for id_ in asked.params["InstanceIds"]]
    items = [{"InstanceId": one.id, "CpuCredits": getattr(one, "credits", "unlimited")} for one in hosts]
    return ActionResult({"InstanceCreditSpecifications": items})


def modify_credits(asked: Any) -> ActionResult:
    for item in asked.params["InstanceCreditSpecifications"]:
        asked.ec2_backend.get_instance(item["InstanceId"]).credits = item["CpuCredits"]
    return ActionResult({})


def run_instances(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tag the interfaces of new hosts, and let them go with their host; moto does neither."""

    def run(self: Any, *words: Any, **named: Any) -> Any:
        reservation = original(self, *words, **named)
        tags = named.get("tags", {}).get("network-interface", {})
        for host in reservation.instances:
            for interface in host.nics.values():
                interface.add_tags(tags)
                interface.delete_on_termination = True
        return reservation

    return run


def delete_security_group(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse what a rule of another group names, as EC2 does."""

    def delete(self: Any, name: str | None = None, group_id: str | None = None) -> Any:
        others = [one for groups in self.groups.values() for one in groups.values() if one.id != group_id]
        rules = [rule for one in others for rule in (*one.ingress_rules, *one.egress_rules)]
        if any(rule.source_group and rule.source_group.get("GroupId") == group_id for rule in rules):
            raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        return original(self, name, group_id)

    return delete


def describe_tags(original: Callable[..., Any]) -> Callable[..., Any]:
    """Leave out the tags of what is gone, which moto keeps; and say EC2's words for the kinds."""
    words = {"flow-logs": "vpc-flow-log", "vpc-elastic-ip": "elastic-ip"}

    def describe(self: Any, filters: Any = None) -> Any:
        there = {one.arn.rpartition("/")[2] for one in self.iter_tagged_resources()}
        there |= {pair.id for pair in self.key_pairs.values()}
        there |= {address.allocation_id for address in self.addresses}
        there |= {one.id for one in self.vpc_end_points.values() if one.state != "deleted"}
        return [
            tag | {"resource_type": words.get(tag["resource_type"], tag["resource_type"])}
            for tag in original(self, filters)
            if tag["resource_id"] in there
        ]

    return describe


def tagged_resources(original: Callable[..., Any]) -> Callable[..., Any]:
    """List the groups of databases by their tags too; moto leaves them out."""

    def listed(self: Any) -> Any:
        yield from original(self)
        for group in (
            *self.subnet_groups.values(),
            *self.db_parameter_groups.values(),
            *self.db_cluster_parameter_groups.values(),
        ):
            tags = {tag["Key"]: tag["Value"] for tag in group.get_tags()}
            yield TaggedResource(group.arn, tags, f"rds:{group.resource_type}")

    return listed


def create_cluster(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a second cluster of a name, as RDS does; moto puts it in the place of the first."""

    def create(self: Any, wanted: dict[str, Any]) -> Any:
        if wanted["db_cluster_identifier"] in self.clusters:
            raise RDSClientError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        return original(self, wanted)

    return create


def delete_key_pair(asked: Any) -> ActionResult:
    """Delete a key pair by its id too, as EC2 does; moto knows its name only."""
    pairs, id_ = asked.ec2_backend.key_pairs, asked.params.get("KeyPairId")
    name = next((one.key_name for one in pairs.values() if one.id == id_), asked.params.get("KeyName"))
    pair = pairs.pop(name, None)
    return ActionResult({"Return": True, "KeyPairId": pair.id if pair else id_})


def create_image(
    backend: Any,
    instance_id: str,
    name: str,
    description: str,
    tag_specifications: list[dict[str, Any]],
) -> Ami:
    """Make an image as EC2 does: moto tags no snapshots, and lets two images have one name."""
    if any(one.name == name for one in backend.amis.values()):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
    host = backend.get_instance(instance_id)
    tags = {
        one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in tag_specifications
    }
    made = Ami(
        backend,
        random_ami_id(),
        instance=host,
        name=name,
        description=description,
        root_device_name="/dev/xvda",
        tags=tags["image"],
    )
    made.ebs_snapshot.add_tags(tags["snapshot"])
    backend.amis[made.id] = made
    return made


class Account:
    """The account, and what a user does with it.

    Each command opens AWS anew, as each run of provision.py does.

    Attributes:
        options: what RDS lets be ordered.
        limits: the least and the most capacity of versions of Aurora that are not today's.
        hooks: told of each call before and after it ("after", "CreateVpc"), to raise something.
        edits: change answers.
        policies: its policies of snapshots.
        loses: tells whether the connection is cut when AWS has done what an operation asks.
        calling: of the thread's present call: its `name`, and whether it `lists` by filters.

    """

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = [
            {
                "Engine": "postgres",
                "EngineVersion": version,
                "DBInstanceClass": f"db.{size}",
                "AvailabilityZones": [{"Name": zone} for zone in ZONES],
            }
            for version in ("15.8", "17.4", "17.6")
            for size in ("t4g.micro", "t4g.small", "m7g.large", "m7g.xlarge")
        ]
        self.options += [
            {
                "Engine": engine,
                "EngineVersion": version,
                "DBInstanceClass": "db.serverless",
                "AvailabilityZones": [{"Name": zone} for zone in ZONES],
            }
            for engine, version in (
                ("aurora-postgresql", "15.4"),
                ("aurora-postgresql", "15.10"),
                ("aurora-postgresql", "17.5"),
                ("aurora-mysql", "8.0.mysql_aurora.3.8.2"),
                ("aurora-mysql", "8.0.mysql_aurora.3.10.0"),
            )
        ]
        self.limits = {"15.4": (0.5, 128.0)}
        self.hooks: list[Callable[[str, str], None]] = []
        self.loses: Callable[[str], bool] = lambda _: False
        self.calling = threading.local()
        self.policies = Policies()
        self.edits: list[Callable[[str, dict[str, Any]], None]] = [self.policies.show]
        self.calls: collections.Counter[str] = collections.Counter()
        self.user = self.open()

    def offered(self, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        """Give what RDS would let be ordered: moto knows nothing of PostgreSQL, and too little of Aurora.

        Args:
            wanted: what the request asks for.

        """
        keys = ("Engine", "DBInstanceClass", "EngineVersion")
        return [one for one in self.options if all(wanted.get(key) in {None, one[key]} for key in keys)]

    def versions(self, family: str) -> list[dict[str, Any]]:
        """Give the versions that RDS would list of a family ("postgres17")."""
        found = dict.fromkeys((one["Engine"], one["EngineVersion"]) for one in self.options)
        return [
            {"EngineVersion": version, **self._scaling(engine, version)}
            for engine, version in found
            if f"{engine}{version}".startswith(f"{family}.")
        ]

    def _scaling(self, engine: str, version: str) -> dict[str, Any]:
        if not engine.startswith("aurora"):
            return {}
        least, most = self.limits.get(version, (0.0, 256.0))
        return {"ServerlessV2FeaturesSupport": {"MinCapacity": least, "MaxCapacity": most}}

    def open(self) -> Aws:
        """Open AWS as a new process does; boto3's clients are kept, for they take long to make."""
        aws = Aws(REGION, clock=Clock())
        make = aws.client

        def client(service: str, **options: int) -> Any:
            key = (service, *options.values())
            with _LOCK:
                if key not in _CLIENTS:
                    _CLIENTS[key] = make(service, **options)
                    self._listen(_CLIENTS[key], aws)
                return _CLIENTS[key]

        for opened in _CLIENTS.values():
            self._listen(opened, aws)
        aws.client = client  # type: ignore[method-assign]
        return aws

    def _listen(self, client: Any, aws: Aws) -> None:
        listeners = {"own": aws._before, "before": self._before, "after": self._after}
        for name, listener in listeners.items():
            event = "after-call" if name == "after" else "before-call"
            client.meta.events.unregister(event, unique_id=name)
            client.meta.events.register(event, listener, unique_id=name)

    def _before(self, model: Any, params: Any, **_: Any) -> None:
        self.calls[model.name] += 1
        self.calling.name = model.name
        words = params["body"] if isinstance(params["body"], dict) else {}
        self.calling.lists = any(key.startswith("Filter") for key in words)
        for hook in self.hooks:
            hook("before", model.name)

    def _after(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        for hook in self.hooks:
            hook("after", model.name)
        for edit in self.edits:
            edit(model.name, parsed)

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Do something by hand, as an operator in the console would."""
        return getattr(self.user.client(service), operation)(**parameters)

    def publish(self, new: dict[str, Any]) -> None:
        """Let the image's publisher bring out another."""
        backend = ec2_backends["123456789012"][REGION]
        date = datetime.fromisoformat(new["creation_date"])
        backend.amis[new["ami_id"]] = Ami(backend, **{**new, "creation_date": date})

    def unpublish(self) -> None:
        """Let the images' publisher take them all back."""
        ec2_backends["123456789012"][REGION].amis.clear()

    def graph(self, **settings: Any) -> Graph:
        """Compose the default deployment, with settings of deployment.yml."""
        public_key = settings.pop("public_key", PUBLIC_KEY)
        deployment = Deployment.model_validate(settings)
        cidrs = getattr(deployment.database, "access_cidrs", ())
        context = stack.Context(
            deployment,
            "123456789012",
            ACCESS,
            public_key,
            "#cloud-config\n",
            CODE,
            database_cidrs=ACCESS if cidrs == "auto" else cidrs,
        )
        return stack.build(context).graph

    def unprotected(self) -> Graph:
        """Compose the default deployment as it is before it may be destroyed."""
        return self.graph(database={"deletion_protection": False})

    def plan(self, **settings: Any) -> Plan:
        return plan.make(self.graph(**settings), self.open())

    def apply(self, **settings: Any) -> State:
        aws = self.open()
        return apply(plan.make(self.graph(**settings), aws), aws)

    def destroy(self, **choices: bool) -> Plan:
        aws = self.open()
        planned = plan.destroy(self.unprotected(), aws, plan.Teardown(**choices))
        apply(planned, aws)
        return planned

    def live(self, name: str) -> Any:
        """Tell how a resource is now."""
        return self.graph()[name].find(self.open())


def changes(planned: Plan) -> dict[str, str]:
    """Give what will be done, by logical name."""
    return {change.resource.name: change.action for change in planned.changes if change.action != "none"}


def settings(planned: Plan, name: str) -> set[str]:
    """Give which settings of a resource differ."""
    change = next(change for change in planned.changes if change.resource.name == name)
    return {setting.name for setting in change.differences}
