"""Images of hosts and databases: built by mmdebstrap, kept in podman's storage, shared by all clones.

An image's tag is the hash of all it is made from, so that a changed recipe is another image and an unchanged
one is never built twice. `python -m sandbox.real.images debian-13 postgresql-17` builds ahead of need.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.real import clones, containers
from sandbox.real.commands import CommandError, RealError, attempt, run
from sandbox.real.locks import exclusive_lock
from sandbox.real.recipes import FILES, RECIPES, Recipe

PREFIX = "localhost/flowstead"
LABEL = "flowstead=image"
BASE_LABEL = "flowstead=base"
"""Of what others build on: their images inherit it, and must not be taken for ours."""
_AUTHORITY = "flowstead.authority"
"""The label that says which sandbox's authority an image trusts; what is made of the image inherits it."""
MACHINE_CAS = Path("/usr/local/share/ca-certificates")
"""Where Debian keeps the authorities a machine's owner added; the image trusts whom the machine trusts."""
MACHINE_FILES = (Path("/etc/pip.conf"), Path("/etc/uv/uv.toml"))
"""The machine's settings for package indexes; an image gets them, as a company's own image would."""
_LOOKS, _LOOK_PAUSE_S = 20, 0.2
WORK = Path(__file__).resolve().parents[2] / ".cache" / "images"
_PR_SET_PDEATHSIG = 1

Progress = Callable[[str], None]


def kinds() -> tuple[str, ...]:
    """Return the kinds of image there are."""
    return tuple(RECIPES)


def versions(program: str = "postgresql") -> tuple[str, ...]:
    """Return the major versions of a database server that there are images of, newest first.

    Args:
        program: what the kinds of its images begin with.
    """
    majors = [kind.removeprefix(f"{program}-") for kind in RECIPES if kind.startswith(f"{program}-")]
    return tuple(sorted(majors, key=int, reverse=True))


def ensure(kind: str, progress: Progress | None = None, *, ca: Path | None = None) -> str:
    """Return the reference of an image, building it first when there is none.

    Args:
        kind: one of `kinds()`.
        progress: told each step of a build in a few words.
        ca: certificate (PEM) of an authority that the image trusts besides, in a thin layer of its own.

    Raises:
        RealError: the kind is unknown, or the build failed.
    """
    if kind not in RECIPES:
        raise RealError(f"no image of kind {kind!r}; there are {', '.join(RECIPES)}")
    say = progress or (lambda _: None)
    recipe = RECIPES[kind]
    ref = reference(recipe)
    if not _use(ref):
        clones.STORAGE.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(clones.STORAGE):
            if not _exists(ref):
                _build(recipe, ref, say)
    return ref if ca is None else trusting(ref, ca)


def trusting(ref: str, ca: Path) -> str:
    """Return the reference of an image that trusts an authority besides: itself, or a thin layer on it.

    Args:
        ref: the image.
        ca: the authority's certificate (PEM).

    Raises:
        RealError: there is no such image, or the layer cannot be made.
    """
    digest = hashlib.sha256(ca.read_bytes()).hexdigest()[:8]
    label = f'{{{{index .Config.Labels "{_AUTHORITY}"}}}}'
    if run("podman", "image", "inspect", "--format", label, ref).strip() == digest:
        return ref
    layered = f"{ref}-{digest}"
    if not _use(layered):
        with exclusive_lock(ca.parent):
            if not _exists(layered):
                _add_authority(ref, layered, ca, digest)
    return layered


def remove_all() -> None:
    """Remove every image of ours that neither a container nor another clone uses."""
    clones.STORAGE.mkdir(parents=True, exist_ok=True)
    # As in `disks`: an image that is being made has no name yet.
    with exclusive_lock(clones.STORAGE), clones.settled():
        others = clones.others()
        left: set[str] = set()
        while (found := {image for image in _all() if not _is_used(image, others)}) != left:
            left = found
            for image in left:
                attempt("podman", "rmi", image)
        clones.unmark_all()


def _is_used(image: str, others: Mapping[str, frozenset[str]]) -> bool:
    name = _mark_of(image)
    return name.partition(":")[0] in others or any(name in used for used in others.values())


def _mark_of(ref: str) -> str:
    return ref.removeprefix(f"{PREFIX}/")


def _use(ref: str) -> bool:
    """Note that this clone uses an image from now on, and return whether there is one."""
    with clones.settled():
        clones.mark(_mark_of(ref))
        return _exists(ref)


def listed(form: str, label: str = LABEL) -> str:
    """List our images in one of podman's forms; it fails where one of them goes while it looks."""
    for left in reversed(range(_LOOKS)):
        try:
            return run("podman", "images", "--filter", f"label={label}", "--format", form)
        except CommandError as error:
            if not left or "image not known" not in error.output:
                raise
        time.sleep(_LOOK_PAUSE_S)
    raise AssertionError


def _all() -> set[str]:
    """Return our images, by name where they have one; an image goes only after those that build on it."""
    form = "{{.Repository}}:{{.Tag}} {{.ID}}"
    bases = [line for line in listed(form, BASE_LABEL).splitlines() if line.startswith(f"{PREFIX}/")]
    pairs = (line.split() for line in (*listed(form).splitlines(), *bases))
    return {identity if "<none>" in name else name for name, identity in pairs}


def reference(recipe: Recipe) -> str:
    """Return the reference an image has for all that goes into it today."""
    content = hashlib.sha256(repr(recipe).encode())
    for target, source in sorted(_files(recipe).items()):
        content.update(f"\0{target}\0".encode() + source.read_bytes())
    content.update(json.dumps(_apt_options()).encode())
    return f"{PREFIX}/{recipe.kind}:{content.hexdigest()[:12]}"


def _exists(ref: str) -> bool:
    return attempt("podman", "image", "exists", ref)


def _files(recipe: Recipe) -> Mapping[str, Path]:
    """Return what goes in as it is: path in the image -> file here."""
    root = FILES / recipe.files
    found = {
        f"/{path.relative_to(root)}".removesuffix(".in"): path for path in root.rglob("*") if path.is_file()
    }
    if MACHINE_CAS.is_dir():
        found.update({str(path): path for path in MACHINE_CAS.rglob("*.crt")})
    found.update({str(path): path for path in MACHINE_FILES if path.is_file()})
    return found


def _apt_options() -> list[str]:
    """Return the machine's proxies for apt, which the image needs as well."""
    try:
        lines = run("apt-config", "dump", "--format", '%F "%v";%n', "Acquire").splitlines()
    except CommandError:
        return []
    return sorted(line for line in lines if "::proxy" in line.lower() and not line.endswith('"";'))


def _build(recipe: Recipe, ref: str, say: Progress) -> None:
    shutil.rmtree(WORK, ignore_errors=True)  # what an interrupted build left
    (WORK / "tmp").mkdir(parents=True)
    try:
        began = time.monotonic()
        say(f"building the image {recipe.kind} (about a minute, once)")
        tar = WORK / "root.tar"
        _debootstrap(recipe, tar)
        run(
            "podman",
            "import",
            "--change",
            f"LABEL {BASE_LABEL if recipe.is_base else LABEL}",
            str(tar),
            ref,
            timeout_s=300,
        )
        say(f"built the image {recipe.kind} in {time.monotonic() - began:.0f} s")
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


def _debootstrap(recipe: Recipe, tar: Path) -> None:
    hooks = []
    for target, source in sorted(_files(recipe).items()):
        mode = "0755" if re.search("/sbin/|-generators/", target) else "0644"
        hooks.append(f'install -D -m {mode} {shlex.quote(str(source))} "$1"{shlex.quote(target)}')
    hooks.append('chroot "$1" update-ca-certificates')
    hooks.extend(recipe.setup)
    arguments = [
        # In namespaces of its own, a build that is cut short takes its processes and mounts with it.
        *("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
        *(f"--aptopt={option}" for option in (*_apt_options(), *recipe.options)),
        *(f"--customize-hook={hook}" for hook in hooks),
        recipe.suite,
        str(tar),
    ]
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"TMPDIR": str(WORK / "tmp"), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - only one system call, and no other thread holds a lock for it
    )
    try:
        _, log = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise CommandError(arguments[6:10], process.returncode, "\n".join(log.splitlines()[-15:]))


def _die_with_parent() -> None:
    """Have the kernel end the build when whoever started it is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _add_authority(ref: str, layered: str, ca: Path, digest: str) -> None:
    container = run(
        "podman",
        "create",
        "--network",
        "none",
        *containers.runtime_options(),
        *containers.limit_options(),
        ref,
        "update-ca-certificates",
        "--fresh",  # an image made in another sandbox may hold another authority under this name
    ).strip()
    try:
        run("podman", "cp", str(ca), f"{container}:{MACHINE_CAS}/flowstead-sandbox.crt")
        run("podman", "start", "--attach", container)
        with exclusive_lock(clones.STORAGE):
            run(
                "podman",
                "commit",
                "--quiet",
                "--change",
                f"LABEL {LABEL}",
                "--change",
                f"LABEL {_AUTHORITY}={digest}",
                "--change",
                "CMD []",
                container,
                layered,
            )
    finally:
        attempt("podman", "rm", "--force", container)


def _say(step: str) -> None:
    sys.stderr.write(f"{step}\n")


def main(arguments: list[str]) -> int:
    """Build the images of the kinds named, or all that are needed early; print the reference of each."""
    try:
        for kind in arguments or (one.kind for one in RECIPES.values() if one.is_early):
            sys.stdout.write(ensure(kind, _say) + "\n")
    except RealError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
