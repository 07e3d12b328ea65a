"""Every kind that provision.py makes, in the order in which what nothing wants any more can go."""

from collections.abc import Mapping
from types import MappingProxyType

from provisioner.resources.base import Resource
from provisioner.resources.dlm.lifecycle_policy import LifecyclePolicy
from provisioner.resources.ec2.elastic_ip import ElasticIp
from provisioner.resources.ec2.flow_log import FlowLog
from provisioner.resources.ec2.instance import Instance
from provisioner.resources.ec2.internet_gateway import InternetGateway
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.s3_endpoint import S3Endpoint
from provisioner.resources.ec2.security_group import SecurityGroup
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.ec2.volume import Volume
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.ecr.repository import Repository
from provisioner.resources.iam.instance_profile import InstanceProfile
from provisioner.resources.iam.role import Role
from provisioner.resources.rds.db_cluster import DbCluster
from provisioner.resources.rds.db_instance import DbInstance
from provisioner.resources.rds.db_member import DbMember
from provisioner.resources.rds.db_subnet_group import DbSubnetGroup
from provisioner.resources.rds.parameter_group import DbClusterParameterGroup, DbParameterGroup
from provisioner.resources.s3.bucket import Bucket
from provisioner.resources.secretsmanager.secret import Secret

KINDS: tuple[type[Resource], ...] = (
    FlowLog,
    LifecyclePolicy,
    ElasticIp,
    Instance,
    Volume,
    InstanceProfile,
    DbInstance,
    DbMember,
    DbCluster,
    DbSubnetGroup,
    DbParameterGroup,
    DbClusterParameterGroup,
    Role,
    S3Endpoint,
    Bucket,
    Repository,
    Secret,
    SecurityGroup,
    RouteTable,
    InternetGateway,
    Subnet,
    Vpc,
    KeyPair,
)
"""Each before what it may need: a test holds it against a whole deployment."""

BY_LISTING: Mapping[str, tuple[type[Resource], ...]] = MappingProxyType(
    {kind.listed_as: tuple(one for one in KINDS if one.listed_as == kind.listed_as) for kind in KINDS}
)
"""By AWS's word for them in lists of what carries a tag: a look at one tells which of them it is."""
