"""The temporary host that an image is made from."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.config import LEAST_VOLUME_GIB
from provisioner.engine.graph import Graph
from provisioner.resources.base import Owner
from provisioner.resources.ec2.elastic_ip import ElasticIp
from provisioner.resources.ec2.image import Image
from provisioner.resources.ec2.instance import Instance
from provisioner.resources.ec2.instance_offer import InstanceOffer
from provisioner.resources.ec2.internet_gateway import InternetGateway
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.security_group import Rule, SecurityGroup
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.ec2.zones import Zones
from provisioner.stack.context import Context
from provisioner.stack.network import SSH, WORLD


@dataclass(frozen=True)
class BakeHost:
    """The temporary host.

    Args:
        graph: it and all that it needs.
        host: the instance.
        address: where it answers.
        lock: its key pair: made first, gone last. Whoever has imported it bakes, alone in the account.

    """

    graph: Graph
    host: Instance
    address: ElasticIp
    lock: KeyPair


def build_bake_host(context: Context) -> BakeHost:
    """Compose the temporary host: a network of its own, and nothing to protect.

    Args:
        context: what the image is for; `user_data` ends the host after a while, come what may.

    """
    deployment = context.deployment
    # No deployment's name has a dot in it, so its own resources are never taken for these.
    owner = Owner(f"{deployment.name}.bake", deployment.tags)
    cidr, instance_type = deployment.network.public_subnets[0], deployment.server.instance_type
    key_pair = KeyPair("ssh_key", owner, public_key=context.ssh_public_key)
    offer = InstanceOffer("server", instance_type)
    zones = Zones("zones", owner, subnets=(("public",),), offers=(offer,))
    vpc = Vpc("network", owner, cidr=deployment.network.cidr, lock=key_pair)
    subnet = Subnet("public", owner, vpc=vpc, cidr=cidr, zones=zones, zone=0)
    gateway = InternetGateway("internet_gateway", owner, vpc=vpc)
    firewall = SecurityGroup(
        "firewall",
        owner,
        vpc=vpc,
        purpose="Temporary host that an image is made from: SSH only",
        inbound=(Rule("tcp", SSH, context.access_cidrs),),
        outbound=(Rule("-1", None, WORLD),),
    )
    host = Instance(
        "host",
        owner,
        role="image_host",
        image=Image("image", owner, system=deployment.server.system, instance_type=instance_type),
        instance_type=instance_type,
        volume_gib=LEAST_VOLUME_GIB,
        subnet=subnet,
        groups=(firewall,),
        key_pair=key_pair,
        routes=RouteTable("routes", owner, vpc=vpc, subnets=(subnet,), gateway=gateway),
        cpu_credits="unlimited",
        at_shutdown="terminate",
        user_data=context.user_data,
    )
    address = ElasticIp("address", owner, gateway=gateway, instance=host)
    return BakeHost(Graph([address]), host, address, key_pair)
