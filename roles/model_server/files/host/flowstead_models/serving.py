"""Have served what the aliases name, and nothing else. Managed by Ansible."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from flowstead_models import units
from flowstead_models.building import build
from flowstead_models.commands import command, property_of
from flowstead_models.errors import ModelError
from flowstead_models.registry import AbsentError, Registry
from flowstead_models.settings import Model, Settings
from flowstead_models.state import Failure, Place, State, places, ports

# What failed for a reason that passes (a package index that was away) is tried again after so long.
RETRY_S = 900


@dataclass
class Report:
    """What was done, and what could not be.

    Args:
        changes: sentences.
        problems: sentences.
    """

    changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def changed(self, text: str) -> None:
        """Say that something was done."""
        self.changes.append(text)
        print(text, flush=True)


def converge(
    settings: Settings,
    registry: Registry,
    *,
    retry: bool,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Have each model served in the version that its alias names.

    Args:
        settings: what the role tells.
        registry: MLflow's.
        retry: try again now what failed before.
        clock: says the time, in seconds since 1970.

    Returns:
        What was done. One model's problem is none of the others'.

    Raises:
        AwayError: MLflow does not answer; what serves goes on.
    """
    report = Report()
    for model in settings.models:
        place = Place(settings.project, model.name)
        try:
            follow(settings, registry, place, model, report, retry=retry, now_s=clock())
        except AbsentError as error:
            serves = place.read().version
            report.problems.append(f"{error}{f' Version {serves} still serves.' if serves else ''}")
    retire(settings, report, {model.name for model in settings.models})
    return report


def follow(
    settings: Settings,
    registry: Registry,
    place: Place,
    model: Model,
    report: Report,
    *,
    retry: bool,
    now_s: float,
) -> None:
    """Have a model served in the version that its alias names; if that cannot be, the old one goes on."""
    version, state = registry.version(model.name, model.alias), place.read()
    if is_served(settings, place, model, version, state):
        if state.failure:
            place.write(replace(state, failure=None))
        if retry:
            gateway(settings, place, state.port)
        clear_up(settings, place, state)
        return
    goes_on = f"Version {state.version} still serves." if state.version else "No version of it serves."
    failure, of = state.failure, f"{model.build(version)} {model.memory_mib} MiB"
    if failure and failure.of == of and not retry and now_s - failure.at_s < RETRY_S:
        report.problems.append(f"{failure.why} {goes_on}")
        return
    try:
        build(settings, place, model, version, registry)
        switch(settings, place, model, version, state)
    except ModelError as error:
        why = f"Version {version} of {model.name} cannot be served: {str(error).rstrip('.')}."
        place.write(replace(state, failure=Failure(of, why, now_s)))
        print(f"{why} {goes_on}", flush=True)
        report.problems.append(f"{why} {goes_on}")
        return
    instead = f" instead of {state.version}" if state.version not in {"", version} else ""
    report.changed(f"Version {version} of {model.name} ({model.alias}) serves{instead}.")


def is_served(settings: Settings, place: Place, model: Model, version: str, state: State) -> bool:
    """Tell whether a version serves, with what its entry says."""
    unit = place.unit(version, state.port)
    own = units.settings_of(unit)
    return (
        version == state.version
        and own.exists()
        and own.read_text() == units.own(settings, place, model, version, state.port)
        and property_of(unit, "ActiveState") == "active"
    )


def switch(settings: Settings, place: Place, model: Model, version: str, state: State) -> None:
    """Have a version serve beside what served before, then instead of it.

    It may be killed anywhere and run again: the gateway sends requests to one that answers, always.

    Raises:
        ModelError: it cannot be served. Nothing has changed for clients.
    """
    port, name = units.free_port(settings.ports, ports()), model.build(version)
    units.start(settings, place, model, version, port)
    gateway(settings, place, port)
    units.enable(place.unit(version, port))
    done = State(version, name, port, before=state.before if name == state.build else state.build)
    place.write(done)
    clear_up(settings, place, done)


def gateway(settings: Settings, place: Place, port: int) -> None:
    """Send requests to a port; 0: none any more. It returns when no request goes to the one before.

    Raises:
        ModelError: the gateway does not take it.
    """
    command(
        [settings.gateway_program, "model", place.key, port],
        f"the gateway was not switched to {place.key}",
        timeout_s=settings.request_timeout_s + 150,
    )


def clear_up(settings: Settings, place: Place, state: State) -> None:
    """End what does not serve, and remove what is not kept: also after something was killed."""
    others = [one for one in units.of(place) if one != place.unit(state.version, state.port)]
    if others:
        # One that was killed may have switched it and not come to note it.
        gateway(settings, place, state.port)
    for unit in others:
        units.stop(unit)
    for build_ in place.builds():
        if build_ not in {state.build, state.before}:
            place.drop(build_)


def retire(settings: Settings, report: Report, wanted: set[str]) -> None:
    """Take off the host what is no longer in the list."""
    for place in places(settings.project):
        if place.name in wanted:
            continue
        gateway(settings, place, 0)
        for unit in units.of(place):
            units.stop(unit)
        shutil.rmtree(place.directory)
        report.changed(f"{place.name} is served no longer.")


def status(settings: Settings) -> list[str]:
    """Say what is served, a line for each model."""
    lines = []
    for model in settings.models:
        place = Place(settings.project, model.name)
        state = place.read()
        of = "" if settings.project == "default" else f"{settings.project}/"
        if not state.version:
            said = "no version serves"
        else:
            health = "answers" if units.answers(state.port) else "does not answer"
            taken = property_of(place.unit(state.version, state.port), "MemoryCurrent")
            memory = f", {int(taken) // 2**20} of {model.memory_mib} MiB" if taken.isdigit() else ""
            said = f"version {state.version} {health}{memory}"
        why = f"; {state.failure.why}" if state.failure else ""
        lines.append(f"{of}{model.name} ({model.alias}): {said}{why}")
    return lines
