"""Where clients reach the servers."""

from __future__ import annotations

from provisioner.resources.ec2.elastic_ip import ElasticIp
from provisioner.stack.network import Network
from provisioner.stack.servers import Servers


def make_entrance(network: Network, servers: Servers | None) -> ElasticIp | None:
    """Compose the address, which stays when the host is replaced.

    Args:
        network: what leads to it.
        servers: the one host that it leads to; None: there is none.

    """
    if servers is None:
        return None
    (server,) = servers.instances
    return ElasticIp("server_address", server.owner, gateway=network.gateway, instance=server)
