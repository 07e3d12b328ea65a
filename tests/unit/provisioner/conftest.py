"""An account in this process (moto), and a stack to make in it."""

import functools
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import xmltodict
from botocore.exceptions import ConnectionClosedError
from moto import mock_aws
from moto.core import models, responses
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.responses import PaginatedResult
from moto.core.serialize import AttributePicker, AttributePickerContext, XFormedAttributePicker
from moto.core.utils import method_names_from_class
from moto.ec2.models import amis
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.tags import TagBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.key_pairs import KeyPairs
from moto.rds.models import RDSBackend
from moto.rds.responses import RDSResponse
from moto.resourcegroupstaggingapi import models as tagging

from tests.unit.provisioner.aurora_account import Aurora
from tests.unit.provisioner.copies import Copies
from tests.unit.provisioner.moto_account import (
    IMAGES,
    Account,
    associated_profile,
    create_cluster,
    create_image,
    delete_key_pair,
    delete_security_group,
    describe_tags,
    described_credits,
    modify_credits,
    run_instances,
    tagged_resources,
)
from tests.unit.provisioner.tagged_repositories import taggable

_method_names = functools.cache(method_names_from_class)
_validate_name = functools.cache(xmltodict._validate_name)
_possible_keys: dict[object, list[str]] = {}


def possible_keys(picker: AttributePicker, asked: AttributePickerContext) -> list[str]:
    """Tell under which names moto may keep what an answer shows; they follow from the kinds of both."""
    shape, kind = asked.shape, type(asked.obj)
    key = (*picker.alias_providers, kind, shape, getattr(shape, "parent", None), asked.key)
    if key not in _possible_keys:
        _possible_keys[key] = list(_find_possible_keys(picker, asked))
    return _possible_keys[key]


_find_possible_keys = XFormedAttributePicker.get_possible_keys


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("MOTO_AMIS_PATH", "set, so that moto loads no images of its own")
    monkeypatch.setattr(amis, "AMIS", list(IMAGES))
    # moto asks it of the same few classes at each call: a tenth of these tests' time.
    monkeypatch.setattr(responses, "method_names_from_class", _method_names)
    # So are these, for each value and each element of each answer.
    monkeypatch.setattr(XFormedAttributePicker, "get_possible_keys", possible_keys)
    monkeypatch.setattr(xmltodict, "_validate_name", _validate_name)
    # Nothing here asks AWS by the library requests: 1,300 patterns for it take another tenth.
    monkeypatch.setattr(models, "RESPONSES_METHODS", [])
    with mock_aws():
        made = Account()
        # The graph calls from several threads; moto's tables bear one at a time.
        lock, process_request = threading.RLock(), BotocoreStubber.process_request

        def one_at_a_time(self: BotocoreStubber, request: Any) -> Any:
            with lock:
                is_dlm = urlsplit(request.url).netloc.startswith("dlm.")
                answer = made.policies.answer(request) if is_dlm else process_request(self, request)
            if made.loses(getattr(made.calling, "name", "")):
                raise ConnectionClosedError(endpoint_url=request.url)
            return answer

        monkeypatch.setattr(BotocoreStubber, "process_request", one_at_a_time)
        shown = property(associated_profile, lambda _, __: None)
        monkeypatch.setattr(Instance, "iam_instance_profile", shown, raising=False)
        monkeypatch.setattr(InstanceBackend, "run_instances", run_instances(InstanceBackend.run_instances))
        original = SecurityGroupBackend.delete_security_group
        monkeypatch.setattr(SecurityGroupBackend, "delete_security_group", delete_security_group(original))
        monkeypatch.setattr(TagBackend, "describe_tags", describe_tags(TagBackend.describe_tags))
        original = RDSBackend.iter_tagged_resources
        monkeypatch.setattr(RDSBackend, "iter_tagged_resources", tagged_resources(original))
        monkeypatch.setattr(tagging, "iter_taggable_backends", taggable(tagging.iter_taggable_backends))
        monkeypatch.setattr(RDSBackend, "create_db_cluster", create_cluster(RDSBackend.create_db_cluster))
        # A host may be terminated twice; moto looks for its interface each time.
        monkeypatch.setattr(
            NetworkInterface, "delete", lambda interface: interface.ec2_backend.enis.pop(interface.id, None)
        )
        name = "instance_credit_specification"
        monkeypatch.setattr(InstanceResponse, f"describe_{name}s", described_credits)
        monkeypatch.setattr(InstanceResponse, f"modify_{name}", modify_credits, raising=False)
        monkeypatch.setattr(amis.AmiBackend, "create_image", create_image)
        monkeypatch.setattr(KeyPairs, "delete_key_pair", delete_key_pair)
        monkeypatch.setattr(
            RDSResponse,
            "describe_orderable_db_instance_options",
            lambda asked: PaginatedResult({"OrderableDBInstanceOptions": made.offered(asked.params)}),
        )
        monkeypatch.setattr(
            RDSResponse,
            "describe_db_engine_versions",
            lambda asked: PaginatedResult(
                {"DBEngineVersions": made.versions(asked.params["DBParameterGroupFamily"])}
            ),
            raising=False,
        )
        yield made


_stack, _aurora = Copies(), Copies()


@pytest.fixture
def stacked(account: Account) -> Account:
    """The account with a finished deployment in it."""
    _stack.begin(account.apply)
    account.calls.clear()
    return account


@pytest.fixture
def aurora(account: Account) -> Aurora:
    """The account with a finished deployment on Aurora in it."""
    made = Aurora(account)
    _aurora.begin(made.apply)
    account.calls.clear()
    return made
