"""cloud-init's own EC2 source, on a host that has no firmware to read the platform's name from.

On a virtual machine cloud-init knows AWS by the system's UUID, and then asks for metadata with a token (IMDSv2). A container
has no such UUID, so this image says what it is.
"""

from cloudinit import sources
from cloudinit.sources import DataSourceEc2 as ec2


class DataSourceEc2Container(ec2.DataSourceEc2):
    """The EC2 source, told that this is AWS."""

    def _get_cloud_name(self):
        return ec2.CloudNames.AWS


def get_datasource_list(depends):
    """Return the sources that a stage of cloud-init can use; ours needs the network, which is up from the start."""
    return sources.list_from_depends(
        depends, [(DataSourceEc2Container, (sources.DEP_FILESYSTEM, sources.DEP_NETWORK))]
    )
