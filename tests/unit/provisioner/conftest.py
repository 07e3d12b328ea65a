"""An account in this process (moto), and a stack to make in it."""

from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.ec2.models import amis
from moto.rds.models import RDSBackend

from tests.unit.provisioner.in_account import IMAGES, Account


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
    with mock_aws():
        made = Account()
        monkeypatch.setattr(
            RDSBackend, "describe_orderable_db_instance_options", lambda *_, **__: made.options
        )
        yield made


@pytest.fixture
def stacked(account: Account) -> Account:
    """The account with a finished deployment in it."""
    account.apply()
    account.calls.clear()
    return account
