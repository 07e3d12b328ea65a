"""Day-2 commands: fab status, logs, tunnel, password, backups, gc, user.add, promote and others (fab --list).

They learn everything from the inventory that provision.py wrote, and accept the pinned host key only. Those
about versions of models need nothing but what an MLflow client is given, and laptop needs none of both.
"""

import json
import shlex
import threading
from typing import Any

from fabric import task
from invoke import Collection

from day_two import tracking
from day_two.api import ask
from day_two.imports import import_data
from day_two.laptop import laptop
from day_two.promotions import demote, promote, promotions
from day_two.sentences import sentences
from day_two.serve_here import serve_here
from day_two.users import users
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError

# What MLflow's release may open at most (three pools a worker), and what there is; all by its own settings.
CONNECTIONS = """
cd /etc/$0
settings=$(sed -n 's/.*"version": "\\([^"]*\\)".*/\\1/p' serving.json).env
value() { sed -n "s/^$1=//p" "$settings"; }
uri=$(value MLFLOW_BACKEND_STORE_URI)
case $uri in sqlite:*)
    folder=$(dirname "${uri#sqlite:///}")
    echo "none: the databases are files in $folder"
    df -h --output=used,avail,pcent,target "$folder"
    exit;;
esac
python=/opt/mlflow/releases/${settings%.env}/bin/python
pool=$(($(value MLFLOW_SQLALCHEMYSTORE_POOL_SIZE) + $(value MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW)))
most=$((3 * $(value MLFLOW_WORKERS) * pool))
case $uri in mysql*)
    $python -c "
import sqlalchemy, sys
ask = sqlalchemy.create_engine(sys.argv[1]).connect().exec_driver_sql
mine = ask('SELECT count(*) FROM information_schema.processlist').scalar() - 1
has = ask('SELECT @@max_connections').scalar()
print(f'{mine} open by MLflow, which takes {sys.argv[2]} at most; the database has {has}')
" "$uri" $most
    exit;;
esac
export PGPASSFILE=$(value PGPASSFILE)
psql --no-psqlrc --tuples-only --no-align "$(echo "$uri" | sed s/+psycopg2//)" --command="
SELECT format('%s open by MLflow, which takes %s at most; %s by all, of the database''s %s',
count(*) FILTER (WHERE usename = current_user) - 1, $most,
count(*) - 1, current_setting('max_connections'))
FROM pg_stat_activity WHERE backend_type = 'client backend'"
"""
# A line for each model that the host serves.
MODELS = """
program=/usr/local/lib/flowstead/models/models.py
test ! -e $program || exec /usr/bin/python3 -B $program status
"""
# Collects garbage on the host, in a unit of its own: it goes on when the connection breaks.
COLLECT = (
    *("sudo", "systemd-run", "--quiet", "--wait", "--pipe", "--collect"),
    *("/usr/bin/python3", "-B"),
)


@task
def status(_context: Any, inventory: str = "inventory") -> None:
    """Say whether MLflow answers, what runs, and how full disk, memory and the database's connections are."""
    with sentences():
        server = tracking.find(inventory)
        servers = [tracking.find(inventory, project.name) for project in server.outputs.projects]
        for one in servers:
            named = f"{one.project.name}: " if len(servers) > 1 else ""
            print(f"{named}{one.url}: {ask(one)}")
        list_units = "systemctl list-units --plain --no-legend --no-pager"
        with server.connect() as connection:
            for title, command in (
                ("units", f"{list_units} --all 'mlflow@*' 'mlflow-*@*' nginx.service 'flowstead-*'"),
                ("failed", f"{list_units} --failed"),
                ("models", f"sudo sh -c {shlex.quote(MODELS)}"),
                ("disk", "df -h --output=used,avail,pcent,target /"),
                ("memory", "free -m"),
                *(
                    (f"connections to the database{of}", f"sudo sh -c {shlex.quote(CONNECTIONS)} {one.name}")
                    for one in servers
                    for of in [f" of {one.project.name}" if len(servers) > 1 else ""]
                ),
                ("since", "uptime --pretty"),
            ):
                result = connection.run(command, hide=True, warn=True, in_stream=False)
                print(f"\n{title}:")
                print("  " + (result.stdout.strip() or "none").replace("\n", "\n  "))


@task(help={"follow": "Go on until Ctrl-C.", "lines": "How many of the last.", "unit": "Another unit's."})
def logs(
    _context: Any,
    follow: bool = False,
    lines: int = 100,
    unit: str = "",
    project: str = "",
    inventory: str = "inventory",
) -> None:
    """Show what MLflow logged."""
    with sentences():
        server = tracking.find(inventory, project)
        unit = unit or f"{server.name}@*"
        words = ["sudo", "journalctl", "--no-pager", "--output=short-iso", f"--lines={int(lines)}"]
        words += [f"--unit={unit}", *(["--follow"] if follow else [])]
        with server.connect() as connection:
            connection.run(shlex.join(words), in_stream=False, pty=follow, warn=True)


@task(help={"port": "Port on this machine."})
def tunnel(_context: Any, port: int = 8443, inventory: str = "inventory") -> None:
    """Make the UI reachable at https://localhost:PORT, through SSH, until Ctrl-C."""
    with sentences():
        server = tracking.find(inventory)
        with server.connect() as connection, connection.forward_local(int(port), remote_port=443):
            print(
                f"https://localhost:{port}/ is {server.url} until Ctrl-C. "
                f"User {server.project.admin.username}; password: fab password."
            )
            trust = f"is signed by {server.ca_file}" if server.ca_file else "is one that systems trust"
            print(f"Its certificate {trust}.", flush=True)
            threading.Event().wait()


@task
def password(_context: Any, project: str = "", inventory: str = "inventory") -> None:
    """Print the admin's password."""
    with sentences():
        print(tracking.find(inventory, project).password())


@task
def backups(_context: Any, project: str = "", inventory: str = "inventory") -> None:
    """List the backups in the bucket: when (UTC), MLflow's release, why, size, name."""
    with sentences():
        server = tracking.find(inventory, project)
        server.require_server()
        bucket, aws = server.outputs.bucket, Aws(server.outputs.region)
        folder = f"{server.project.backups_prefix}/"
        objects = aws.page("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=folder)
        for line in list_backups([(one["Key"], one["Size"]) for one in objects], project):
            print(line)


def list_backups(objects: list[tuple[str, int]], project: str = "") -> list[str]:
    """Give a line for each backup, the oldest first, and say how to go back to one, or to make one.

    Args:
        objects: key and size in bytes of what lies in the bucket below the backups' prefix.
        project: whose they are; empty: the default project's.

    """
    sizes: dict[str, int] = {}
    complete = set()
    for key, size in objects:
        *_, name, file = key.split("/")
        sizes[name] = sizes.get(name, 0) + size
        if file == "manifest.json":
            complete.add(name)
    lines, of = [], f" -e project={project}" if project else ""
    for name, size in sorted(sizes.items()):
        made, _, rest = name.partition("-")
        release, _, reason = rest.partition("-")
        when = f"{made[:4]}-{made[4:6]}-{made[6:8]} {made[9:11]}:{made[11:13]}"
        why = reason if name in complete else f"{reason} (not complete)"
        lines.append(f"{when}  {release:8} {why:24} {size / 1048576:9.1f} MiB  {name}")
    if not lines:
        return [f"There is none yet. To make one: ansible-playbook playbooks/back_up.yml{of}"]
    return [
        *lines,
        f"To go back to one: ansible-playbook playbooks/restore_backup.yml -e mlflow_data_backup=NAME{of}",
    ]


@task(
    name="gc",
    help={
        "older-than": "How long ago users deleted it, such as 30d or 1d12h (mlflow_data_garbage_age).",
        "dry-run": "Only count.",
    },
)
def collect_garbage(
    _context: Any,
    older_than: str = "",
    dry_run: bool = False,
    project: str = "",
    inventory: str = "inventory",
) -> None:
    """Remove for good what users deleted in MLflow long enough ago: rows, and files in the bucket."""
    given = [
        *([f"--older-than={older_than}"] if older_than else []),
        *(["--dry-run"] if dry_run else []),
    ]
    with sentences():
        server = tracking.find(inventory, project)
        program = f"/usr/local/lib/flowstead/{server.name}/change.py"
        with server.connect() as connection:
            command = shlex.join([*COLLECT, program, "garbage", *given])
            result = connection.run(command, hide=True, warn=True, in_stream=False)
        try:
            report = json.loads(result.stdout)
        except ValueError:
            why = (result.stderr.strip() or result.stdout.strip() or "no answer").splitlines()[-1]
            raise FlowsteadError(
                f"The host could not do it: {why}.",
                next_step="ansible-playbook site.yml brings its programs up to date.",
            ) from None
        if report["outcome"] != "done":
            raise FlowsteadError(report["why"])
        print("\n".join(report["told"]))


namespace = Collection(
    status,
    logs,
    tunnel,
    password,
    backups,
    collect_garbage,
    import_data,
    laptop,
    serve_here,
    promote,
    demote,
    promotions,
    users,
)
