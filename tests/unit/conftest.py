"""What all unit tests start from: what is the same each time, and takes most of their time, is made once."""

import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import botocore.useragent
import pytest
from botocore.client import ClientCreator
from botocore.model import ServiceModel

# botocore's models of the services are MiBs of JSON: read once, not in each session.
_loader = functools.cache(botocore.session.create_loader)


@functools.cache
def _service_model(loader: Any, service: str, api_version: str | None) -> ServiceModel:
    return ServiceModel(loader.load_service_model(service, "service-2", api_version), service_name=service)


def _load_service_model(creator: Any, service: str, api_version: str | None = None) -> ServiceModel:
    return _service_model(creator._loader, service, api_version)


def _made_once(make: Callable[[Any, Any], dict[str, Any]]) -> Callable[[Any, Any], dict[str, Any]]:
    """Keep what is made of a service's model; each client class gets a copy."""
    kept: dict[Any, dict[str, Any]] = {}

    def copy(creator: Any, model: Any) -> dict[str, Any]:
        if model not in kept:
            kept[model] = make(creator, model)
        return dict(kept[model])

    return copy


@pytest.fixture(scope="session", autouse=True)
def botocore_once() -> Iterator[None]:
    """Make once what all of a service's clients have in common: its model, and a method per operation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", _loader)
        patch.setattr(ClientCreator, "_load_service_model", _load_service_model)
        for name in ("_create_methods", "_create_name_mapping"):
            patch.setattr(ClientCreator, name, _made_once(getattr(ClientCreator, name)))
        clean = "sanitize_user_agent_string_component"
        patch.setattr(botocore.useragent, clean, functools.cache(getattr(botocore.useragent, clean)))
        yield


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was imported: it would look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
