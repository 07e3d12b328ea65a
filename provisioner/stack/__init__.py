"""The one place where a deployment is composed; `build` reads like the picture in the README."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.engine.graph import Graph
from provisioner.resources.base import Resource, resources_in
from provisioner.resources.ec2.elastic_ip import ElasticIp
from provisioner.resources.ec2.volume import Volume
from provisioner.resources.ecr.repository import Repository
from provisioner.resources.rds.database import Database
from provisioner.stack.bake_host import BakeHost, build_bake_host
from provisioner.stack.context import Context
from provisioner.stack.database import make_database
from provisioner.stack.entrance import make_entrance
from provisioner.stack.images import make_repository
from provisioner.stack.network import make_network
from provisioner.stack.projects import Project, list_projects
from provisioner.stack.secrets import Secrets, make_secrets
from provisioner.stack.servers import Servers, make_servers
from provisioner.stack.storage import Storage, make_storage
from provisioner.stack.volume import make_snapshots, make_volume

__all__ = ["BakeHost", "Context", "Project", "Stack", "build", "build_bake_host"]


@dataclass(frozen=True)
class Stack:
    """A deployment's resources by what they are for.

    Args:
        graph: all of them, with what they need.
        servers: the hosts, and what they may do; None: there are none.
        entrance: where clients reach them; likewise.
        database: the database service; None: the data are on the volume.
        volume: the volume with the data; None: they are in the database service.
        storage: the artifacts' bucket.
        secrets: passwords and keys.
        images: the repository of container images; None: there is none.
        projects: what each project has of them; the default one comes first.

    """

    graph: Graph
    servers: Servers | None
    entrance: ElasticIp | None
    database: Database | None
    volume: Volume | None
    storage: Storage
    secrets: Secrets
    images: Repository | None
    projects: tuple[Project, ...]

    @property
    def store(self) -> Resource:
        """What keeps runs, models and users."""
        return next(one for one in self.graph if one.keeps_runs)


def build(context: Context) -> Stack:
    """Compose a deployment's resources.

    Args:
        context: what is wanted, and what else must be known.

    """
    network = make_network(context)
    storage = make_storage(context, network)
    volume = make_volume(context, network, storage)
    snapshots = make_snapshots(context, volume)
    # The host still uses them where it moves its data away from a database.
    secrets = make_secrets(context, for_database=volume is None or bool(context.moving_from))
    servers = make_servers(context, network, storage, secrets, volume)
    store = make_database(context, network, servers, storage)
    entrance = make_entrance(network, servers)
    images = make_repository(context)

    everything = resources_in((entrance, storage, network, store, snapshots, secrets, servers, images))
    database = store.database if store else None
    projects = list_projects(context, servers, secrets)
    return Stack(
        Graph(tuple(everything)), servers, entrance, database, volume, storage, secrets, images, projects
    )
