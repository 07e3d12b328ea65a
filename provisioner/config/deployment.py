"""deployment.yml as checked, immutable objects: the only description of what a user wants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from provisioner.config import bucket_rules, image_rules, network_rules, project_rules, rules
from provisioner.config.database import Database, Postgresql, Sqlite
from provisioner.config.file import ConfigurationError, Mistake, Source
from provisioner.config.section import Section, Text
from provisioner.systems import BAKED

ADMIN = "admin"
"""The name of MLflow's first administrator."""
LEAST_VOLUME_GIB = 8
"""The size of the publishers' images: https://wiki.debian.org/Cloud/AmazonEC2Image; no other is larger."""
Cidr = Annotated[str, BeforeValidator(rules.text), AfterValidator(network_rules.cidr)]


class Access(Section):
    """Who may reach the server.

    Args:
        cidrs: networks allowed on ports 443 and 22; `auto` is the address this machine is seen from.
        allow_world: must be true for networks as wide as the whole internet.

    """

    cidrs: Literal["auto"] | tuple[str, ...] = "auto"
    allow_world: StrictBool = False

    @field_validator("cidrs", mode="before")
    @classmethod
    def _check_cidrs(cls, value: object) -> object:
        return network_rules.access_cidrs(value)

    @model_validator(mode="after")
    def _check_world(self) -> Access:
        if self.cidrs != "auto":
            rules.refuse(network_rules.access_width(self.cidrs, allow_world=self.allow_world))
        return self


class Network(Section):
    """The deployment's own network.

    Args:
        cidr: addresses of the VPC, /16 to /28.
        public_subnets: two networks inside it, one for each zone; the server's address is in the first.
        private_subnets: two more for the database.
        flow_logs: where a record of every connection goes, `s3://BUCKET/FOLDER`; `none`: nowhere.

    """

    cidr: Cidr = "10.80.0.0/16"
    public_subnets: tuple[Cidr, Cidr] = ("10.80.0.0/24", "10.80.1.0/24")
    private_subnets: tuple[Cidr, Cidr] = ("10.80.10.0/24", "10.80.11.0/24")
    flow_logs: Annotated[Text, AfterValidator(bucket_rules.flow_logs)] = "none"

    @property
    def flow_logs_arn(self) -> str:
        """The same place as AWS names it; empty: none."""
        return "" if self.flow_logs == "none" else f"arn:aws:s3:::{self.flow_logs.removeprefix('s3://')}"

    @model_validator(mode="after")
    def _check_layout(self) -> Network:
        rules.refuse(network_rules.network_layout(self.cidr, self.public_subnets, self.private_subnets))
        return self


class Server(Section):
    """The host that MLflow runs on.

    Args:
        count: how many there are: one, or none (`fab serve-here` runs one on your own machine).
        image: its operating system; the newest image of it when the host is made. With `baked-` before it,
            the newest of those that `provision.py bake` made in this account.
        instance_type: EC2 instance type.
        volume_gib: size of its disk.
        ssh_public_key: path of your public key, or `auto` for a pair made for this deployment.

    """

    count: Annotated[StrictInt, AfterValidator(rules.count)] = 1
    image: Annotated[Text, AfterValidator(rules.image)] = "debian-13"
    instance_type: Annotated[Text, AfterValidator(rules.instance_type)] = "t3.small"
    volume_gib: Annotated[StrictInt, Field(ge=LEAST_VOLUME_GIB, le=16384)] = 20
    ssh_public_key: Text = "auto"

    @property
    def baked(self) -> bool:
        """It starts from an image of the account's own."""
        return self.image.startswith(BAKED)

    @property
    def system(self) -> str:
        """The operating system, whichever of its images the host starts from."""
        return self.image.removeprefix(BAKED)

    @field_validator("ssh_public_key")
    @classmethod
    def _check_key(cls, value: str, info: ValidationInfo) -> str:
        if value == "auto":
            return value
        base = (info.context or {}).get("directory", Path())
        return str(rules.public_key_file(base / Path(value).expanduser()))


class Artifacts(Section):
    """The S3 bucket that keeps artifacts and models.

    Args:
        bucket: its name, or `auto` for one made from the deployment's name.
        prefix: folder in it; the server may read, write and delete there and nowhere else.
        noncurrent_days: days that overwritten and deleted artifacts are kept.

    """

    bucket: Annotated[Text, AfterValidator(bucket_rules.bucket)] = "auto"
    prefix: Annotated[Text, AfterValidator(bucket_rules.prefix)] = "artifacts"
    noncurrent_days: Annotated[StrictInt, Field(ge=1, le=3650)] = 30


class Backups(Section):
    """Where the server's own backups of its databases go: a folder of the same bucket.

    Args:
        prefix: folder; the server may read and add there, and delete nothing.
        keep_days: days after which a backup expires.

    """

    prefix: Annotated[Text, AfterValidator(bucket_rules.prefix)] = "backups"
    keep_days: Annotated[StrictInt, Field(ge=1, le=3650)] = 35


class Images(Section):
    """Container images of MLflow's server, for those who run it elsewhere than on the host.

    Args:
        repository: the ECR repository that keeps them: its name, `auto` for one named after the deployment,
            or `none`.
        keep: how many images it keeps; older ones expire.
        base: the image with Python that ours builds on.

    """

    repository: Annotated[Text, AfterValidator(image_rules.repository)] = "none"
    keep: Annotated[StrictInt, Field(ge=1, le=1000)] = 10
    base: Annotated[Text, AfterValidator(image_rules.base)] = "python:3.13-slim-bookworm"


class Project(Section):
    """A server of MLflow for some of the people, kept apart from the others' on the same host.

    Args:
        name: its name; `default` is always there, and answers at the server's own address.

    """

    name: Annotated[Text, AfterValidator(project_rules.name)]

    @property
    def is_default(self) -> bool:
        """It has the server's own address, and the names without a project's in them."""
        return self.name == project_rules.DEFAULT


class Deployment(Section):
    """What deployment.yml says.

    Args:
        name: name of the deployment; bucket, database, role and tags carry it.
        region: AWS region.
        entrance: what clients reach the server by; an address that stays, so far.
        access: who may reach the server.
        network: its addresses.
        server: the host.
        database: the database.
        artifacts: the bucket.
        backups: the databases' backups in it.
        images: container images of MLflow's server.
        projects: who share the server, each with users, runs and artifacts of their own.
        tags: further tags for everything that is made.

    """

    name: Annotated[Text, AfterValidator(rules.name)] = "flowstead"
    region: Annotated[Text, AfterValidator(rules.region)] = "us-east-1"
    entrance: Literal["elastic_ip"] = "elastic_ip"
    access: Access = Access()
    network: Network = Network()
    server: Server = Server()
    database: Database = Postgresql()
    artifacts: Artifacts = Artifacts()
    backups: Backups = Backups()
    images: Images = Images()
    projects: tuple[Project, ...] = (Project(name=project_rules.DEFAULT),)
    tags: dict[Text, Text] = Field(default_factory=dict)
    _source: Source = PrivateAttr(default_factory=lambda: Source(Path("deployment.yml")))

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, value: dict[str, str]) -> dict[str, str]:
        return rules.tags(value)

    @model_validator(mode="after")
    def _check_across(self) -> Deployment:
        rules.refuse(
            [
                *bucket_rules.folders(self.artifacts.prefix, self.backups.prefix),
                *bucket_rules.another_bucket(
                    self.network.flow_logs, self.artifacts.bucket, self.name, self.region
                ),
                *project_rules.together(self.projects, self.artifacts.prefix, self.backups.prefix),
                *self._check_engine(),
            ]
        )
        return self

    def _check_engine(self) -> rules.Mistakes:
        count = self.server.count
        if isinstance(self.database, Sqlite):
            return [*rules.servers(count, None), *project_rules.on_a_volume(self.projects)]
        tools = rules.backup_tools(self.server.image, self.database.engine_version) if count else []
        return [*rules.servers(count, self.database.access_cidrs), *tools]

    def refuse(self, *mistakes: Mistake) -> ConfigurationError:
        """Make the error for what only AWS could tell about a value, naming its file, line and key.

        Args:
            mistakes: the dotted key and what is allowed, e.g. `Mistake("database.instance_class", "…")`.

        Returns:
            The error, to be raised.

        """
        return self._source.error(mistakes)
