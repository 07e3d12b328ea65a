"""The instance metadata service: each host learns about itself, and gets its own role's credentials.

Served inside the router of every VPC at 169.254.169.254; the source address tells which instance asks.
Source: "Instance metadata and user data" and "Use IMDSv2" in the EC2 User Guide.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from sandbox import account
from sandbox.web import HttpRequest, HttpResponse

_TOKEN_TTL_MAX_S = 21_600  # six hours, AWS's limit
_LIFETIME_S = 21_600  # AWS's credentials of a role on an instance last about six hours
_RENEW_BEFORE = timedelta(minutes=15)  # AWS has new ones ready at least five minutes before the old ones end
_VERSION = re.compile(r"latest|\d{4}-\d{2}-\d{2}|1\.0")
_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2016-09-02",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-03-23",
    "latest",
)

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class _Token:
    instance_id: str
    expires: float


def role_of(instance: Any) -> Any:
    """Return the role of the instance's profile, or nothing.

    Args:
        instance: moto's instance.

    Returns:
        moto's role.
    """
    profile = profile_of(instance)
    return profile.roles[0] if profile is not None and profile.roles else None


def profile_of(instance: Any) -> Any:
    """Return the instance's profile as IAM knows it now, or nothing.

    Args:
        instance: moto's instance.

    Returns:
        moto's instance profile.
    """
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    if association is None:
        return None
    arn = association.iam_instance_profile.arn
    return next((p for p in account.iam().instance_profiles.values() if p.arn == arn), None)


def _text(status: int, body: str | bytes, kind: str = "text/plain") -> HttpResponse:
    return HttpResponse(status, [("Content-Type", kind)], body.encode() if isinstance(body, str) else body)


class Metadata:
    """Answers on the metadata address of one VPC.

    Args:
        find: finds the instance that has a private address in this VPC.
    """

    def __init__(self, find: Callable[[str], Any]) -> None:
        self._find = find
        self._tokens: dict[str, _Token] = {}
        self._credentials: dict[tuple[str, str], Any] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request.

        Args:
            request: the request.

        Returns:
            The response.
        """
        with account.lock:
            instance = self._find(request.peer)
            if instance is None:
                return _text(404, "")
            options = instance.metadata_options
            if options.http_endpoint == "disabled":
                return _text(403, "")
            path = unquote(request.path)
            if path == "/latest/api/token":
                return self._token(request, instance)
            if request.method not in {"GET", "HEAD"}:
                return _text(405, "")
            return self._look_up(instance, path) if self._may(request, instance) else _text(401, "")

    def _may(self, request: HttpRequest, instance: Any) -> bool:
        given = request.headers.get("X-aws-ec2-metadata-token")
        if given is None:
            return bool(instance.metadata_options.http_tokens != "required")
        return self._is_good(given, instance.id)

    def _token(self, request: HttpRequest, instance: Any) -> HttpResponse:
        if request.method != "PUT":
            return _text(405, "")
        if request.headers.get("X-Forwarded-For"):
            return _text(403, "")
        text = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        ttl_s = int(text) if text.isdigit() else 0
        if not 1 <= ttl_s <= _TOKEN_TTL_MAX_S:
            return _text(400, "")
        # A container behind a bridge is one hop further away than its host: its answer dies on the way.
        hops = int(instance.metadata_options.http_put_response_hop_limit)
        request.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        now = time.monotonic()
        self._tokens = {name: token for name, token in self._tokens.items() if token.expires > now}
        name = secrets.token_urlsafe(40)
        self._tokens[name] = _Token(instance.id, now + ttl_s)
        response = _text(200, name)
        response.headers.append(("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", str(ttl_s)))
        return response

    def _is_good(self, name: str, instance_id: str) -> bool:
        token = self._tokens.get(name)
        return token is not None and token.instance_id == instance_id and token.expires > time.monotonic()

    def _look_up(self, instance: Any, path: str) -> HttpResponse:
        parts = [part for part in path.split("/") if part]
        if not parts:
            return _text(200, "\n".join(_VERSIONS))
        if not _VERSION.fullmatch(parts[0]):
            return _text(404, "")
        node: Any = self._tree(instance)
        for part in parts[1:]:
            if not isinstance(node, Mapping) or part not in node:
                return _text(404, "")
            node = node[part]
        if isinstance(node, Mapping):
            if "public-keys" in parts[-1:]:
                return _text(200, "\n".join(f"{index}={instance.key_name}" for index in node))
            return _text(
                200, "\n".join(f"{name}/" if isinstance(n, Mapping) else name for name, n in node.items())
            )
        return _text(200, node)

    def _tree(self, instance: Any) -> Tree:
        tree: dict[str, Any] = {
            "dynamic": {"instance-identity": {"document": self._document(instance)}},
            "meta-data": self._meta_data(instance),
        }
        if instance.user_data:
            tree["user-data"] = base64.b64decode(str(instance.user_data))
        return tree

    @staticmethod
    def _document(instance: Any) -> str:
        return json.dumps(
            {
                "accountId": account.ACCOUNT_ID,
                "architecture": instance.architecture,
                "availabilityZone": instance.availability_zone,
                "billingProducts": None,
                "devpayProductCodes": None,
                "marketplaceProductCodes": None,
                "imageId": instance.image_id,
                "instanceId": instance.id,
                "instanceType": instance.instance_type,
                "kernelId": None,
                "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "privateIp": instance.private_ip,
                "ramdiskId": None,
                "region": instance.region_name,
                "version": "2017-09-30",
            },
            indent=2,
        )

    def _meta_data(self, instance: Any) -> Tree:
        nic = instance.nics[0]
        groups = "\n".join(group.name for group in nic.group_set)
        interface: dict[str, Any] = {
            "device-number": "0",
            "interface-id": nic.id,
            "local-hostname": instance.private_dns_name,
            "local-ipv4s": instance.private_ip,
            "mac": nic.mac_address,
            "owner-id": account.ACCOUNT_ID,
            "security-group-ids": "\n".join(group.id for group in nic.group_set),
            "security-groups": groups,
            "subnet-id": nic.subnet.id,
            "subnet-ipv4-cidr-block": nic.subnet.cidr_block,
            "vpc-id": nic.subnet.vpc_id,
        }
        data: dict[str, Any] = {
            "ami-id": instance.image_id,
            "ami-launch-index": str(instance.ami_launch_index),
            "ami-manifest-path": "(unknown)",
            "block-device-mapping": {"ami": instance.root_device_name, "root": instance.root_device_name},
            "hostname": instance.private_dns_name,
            "instance-action": "none",
            "instance-id": instance.id,
            "instance-life-cycle": "on-demand",
            "instance-type": instance.instance_type,
            "local-hostname": instance.private_dns_name,
            "local-ipv4": instance.private_ip,
            "mac": nic.mac_address,
            "network": {"interfaces": {"macs": {nic.mac_address: interface}}},
            "placement": {
                "availability-zone": instance.availability_zone,
                "availability-zone-id": nic.subnet.availability_zone_id,
                "region": instance.region_name,
            },
            "profile": "default-hvm",
            "security-groups": groups,
            "services": {"domain": "amazonaws.com", "partition": account.PARTITION},
        }
        if instance.public_ip:
            data |= {"public-ipv4": instance.public_ip, "public-hostname": instance.public_dns_name}
            interface["public-ipv4s"] = instance.public_ip
        key = instance.ec2_backend.key_pairs.get(instance.key_name)
        if key is not None:
            data["public-keys"] = {"0": {"openssh-key": _public_key(key)}}
        if instance.metadata_options.instance_metadata_tags == "enabled":
            data["tags"] = {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}
        profile, role = profile_of(instance), role_of(instance)
        if profile is not None:
            data["iam"] = {
                "info": json.dumps(
                    {
                        "Code": "Success",
                        "LastUpdated": _time(datetime.now(UTC)),
                        "InstanceProfileArn": profile.arn,
                        "InstanceProfileId": profile.id,
                    },
                    indent=2,
                )
            }
            if role is not None:
                data["iam"]["security-credentials"] = {role.name: self._session(instance, role)}
        return data

    def _session(self, instance: Any, role: Any) -> str:
        session = self._credentials.get((instance.id, role.arn))
        now = datetime.now(UTC)
        if session is None or session.expiration.replace(tzinfo=UTC) - now < _RENEW_BEFORE:
            session = account.sts().assume_role(
                region_name=instance.region_name,
                role_session_name=instance.id,
                role_arn=role.arn,
                policy="",
                duration=_LIFETIME_S,
                external_id="",
            )
            self._credentials[(instance.id, role.arn)] = session
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": _time(now),
                "Type": "AWS-HMAC",
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret_access_key,
                "Token": session.session_token,
                "Expiration": _time(session.expiration),
            },
            indent=2,
        )


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _public_key(key: Any) -> str:
    material = key.material_public
    text = material.decode() if isinstance(material, bytes) else str(material)
    return f"{' '.join(text.split()[:2])} {key.key_name}\n"
