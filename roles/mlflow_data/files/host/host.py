"""The releases, units, programs and files of MLflow on this host. Managed by Ansible."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

STATE = Path("/var/lib/mlflow-change")
PROGRAMS = Path(__file__).resolve().parent
# Writes the file with the server's secrets anew where Secrets Manager has others.
SECRETS_UNIT = "flowstead-secrets@mlflow-env.service"
# For programs that need nothing of a release; they leave no compiled files behind.
PYTHON = ("/usr/bin/python3", "-B")


class ChangeError(Exception):
    """What went wrong, as a sentence for whoever asked."""


def write_json(path, value):
    """Write a file so that after a crash it is the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with draft.open("w") as file:
        json.dump(value, file, indent=4)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o644)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def command(*argv, what, **options):
    """Run a command and return what it prints; its last words are the reason when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, **options)
    if done.returncode != 0:
        raise ChangeError(f"{what}: {last_words(argv, done.returncode, done.stdout, done.stderr)}")
    return done.stdout


def last_words(argv, status, stdout, stderr):
    """Return why a command failed, as far as it says so."""
    return (stderr.strip() or stdout.strip())[-1500:] or f"{argv[0]} ended with status {status}"


def commands_together(argvs, *, what, timeout_s, **options):
    """Run commands at the same time; none runs any more when this returns or raises, however it ends."""
    deadline = time.monotonic() + timeout_s
    reasons = []
    with contextlib.ExitStack() as running:
        processes = []
        for argv in argvs:
            process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options
            )
            # Left in the reverse order: killed if it has not ended, then waited for.
            running.enter_context(process)
            running.callback(process.kill)
            processes.append((argv, process))
        for argv, process in processes:
            try:
                said = process.communicate(timeout=max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                reasons.append(f"it was not done after {timeout_s} s")
                break
            if process.returncode != 0:
                reasons.append(last_words(argv, process.returncode, *said))
    if reasons:
        raise ChangeError("\n".join(f"{what}: {reason}" for reason in reasons))


def variables_in(path):
    """Return the variables of a file in the form of systemd's EnvironmentFile (systemd.exec(5))."""
    variables = {}
    for line in Path(path).read_text().splitlines():
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        name, _, value = line.strip().partition("=")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        variables[name] = value
    return variables


def administrator_password(path):
    """Return the administrator's password, from the file with the server's secrets."""
    try:
        return variables_in(path)["MLFLOW_AUTH_ADMIN_PASSWORD"]
    except KeyError:
        raise ChangeError(
            f"{path} has no MLFLOW_AUTH_ADMIN_PASSWORD: look at journalctl -u {SECRETS_UNIT}"
        ) from None


class Host:
    """What the role's settings describe, and what can be done with it."""

    def __init__(self, settings):
        self.settings = settings
        self.serving_file = Path(settings["config_dir"]) / "serving.json"

    def serving(self):
        """Return the version and port that serve, and what served before; an empty version when none does."""
        try:
            return {"before": []} | json.loads(self.serving_file.read_text())
        except FileNotFoundError:
            return {"version": "", "port": 0, "before": []}

    def python(self, version):
        """Return a release's interpreter."""
        return f"{self.settings['home']}/releases/{version}/bin/python"

    def port(self, version):
        """Return the port that a release's own settings name."""
        text = (Path(self.settings["config_dir"]) / f"{version}.env").read_text()
        return int(re.search(r"^MLFLOW_PORT=(\d+)$", text, re.MULTILINE)[1])

    def systemctl(self, *words, what):
        """Tell systemd something."""
        command("systemctl", *words, what=what)

    def start(self, version, *, afresh=False):
        """Start a release; `afresh` also when it runs."""
        word = "restart" if afresh else "start"
        self.systemctl(word, f"mlflow@{version}.service", what=f"MLflow {version} could not be started")

    def stop(self, version):
        """Let a release finish its requests, and stop it."""
        self.systemctl("stop", f"mlflow@{version}.service", what=f"MLflow {version} could not be stopped")

    def at_boot(self, version, *, started):
        """Have a release started at boot, or not."""
        word = "enable" if started else "disable"
        self.systemctl(
            word, "--quiet", f"mlflow@{version}.service", what=f"MLflow {version}'s unit cannot be {word}d"
        )

    def ask(self, version, unit="", port=0):
        """Wait until a release answers, and ask it real questions; its journal tells why it does not."""
        unit = unit or f"mlflow@{version}.service"
        settings = self.settings
        try:
            command(
                *(
                    *PYTHON,
                    PROGRAMS / "ask.py",
                    f"--unit={unit}",
                    f"--port={port or self.port(version)}",
                ),
                *(
                    f"--version={version}",
                    f"--username={settings['admin']}",
                    f"--secrets={settings['secrets_file']}",
                ),
                f"--timeout-s={settings['start_timeout_s']}",
                what=f"MLflow {version} does not answer as it should",
            )
        except ChangeError as failed:
            tail = (*PYTHON, PROGRAMS / "journal.py", unit, settings["secrets_file"])
            words = command(*tail, what="Its journal cannot be read")
            raise ChangeError(
                f"{failed}\nThe last lines of journalctl -u {unit}:\n{words.rstrip()}"
            ) from None

    def use_as_client(self, version, token):
        """Log a run with a real client, by the way that clients come, and read it back."""
        gateway = self.settings["gateway"]
        if not gateway["name"] or not self.has_gateway():
            return
        password = administrator_password(self.settings["secrets_file"])
        self.as_user(
            *(self.python(version), PROGRAMS / "client.py", f"--gateway={gateway['name']}"),
            *(
                f"--port={gateway['port']}",
                f"--ca-file={gateway['ca_file']}",
                f"--username={self.settings['admin']}",
            ),
            what=f"A client could not use MLflow {version} through the gateway",
            words=json.dumps({"password": password, "pass": token}),
            timeout_s=self.settings["start_timeout_s"],
        )

    def has_gateway(self):
        """Tell whether a gateway has been set up on this host."""
        return Path(self.settings["gateway"]["program"]).is_file()

    def gateway(self, *words):
        """Tell the gateway something, where there is one."""
        if self.has_gateway():
            command(self.settings["gateway"]["program"], *words, what="The gateway did not do as told")

    def user_options(self, passfile=""):
        """Return what makes a program run as MLflow's user."""
        environment = os.environ | {
            "HOME": "/var/lib/mlflow",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PGPASSFILE": passfile or self.settings["passfile"],
        }
        identity = {"user": self.settings["user"], "group": self.settings["group"], "extra_groups": []}
        return {"env": environment, "cwd": "/"} | identity

    def as_user(self, *argv, what, words=None, timeout_s=None):
        """Run a program as MLflow's user."""
        options = {"what": what, "input": words, "timeout": timeout_s}
        try:
            return command(*(str(word) for word in argv), **options, **self.user_options())
        except subprocess.TimeoutExpired:
            raise ChangeError(f"{what}: it was not done after {timeout_s} s") from None

    def data(self, version, *words, what):
        """Copy, dump or restore the databases, with a release's own libraries; the answer is JSON."""
        # As root: what is in the backups is nothing for the user that serves.
        spool = STATE / "backups"
        spool.mkdir(parents=True, exist_ok=True)
        shutil.chown(spool, "root", "root")
        spool.chmod(0o700)
        environment = os.environ | {"PGPASSFILE": self.settings["passfile"]}
        argv = (self.python(version), "-B", str(PROGRAMS / "data.py"), *words)
        return json.loads(command(*argv, what=what, env=environment, cwd="/") or "{}")

    def collect_garbage(self, version, age, age_s, *, dry_run):
        """Remove what users have deleted, with the settings and the credentials of the server."""
        spool = Path("/var/lib/mlflow-garbage")
        spool.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(spool, self.settings["user"], self.settings["group"])
        options = self.user_options()
        options["env"] |= variables_in(Path(self.settings["config_dir"]) / f"{version}.env") | {
            "AWS_CONFIG_FILE": f"{self.settings['config_dir']}/aws.conf",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
        }
        words = (age, str(age_s), *(["--dry-run"] if dry_run else []))
        argv = (self.python(version), "-B", str(PROGRAMS / "garbage.py"), *words)
        return json.loads(command(*argv, what="What users deleted could not be removed", **options))

    @contextlib.contextmanager
    def owner(self):
        """Have the owner's password on the host for as long as it is needed."""
        unit = self.settings["owner_passfile_unit"]
        try:
            self.systemctl("start", unit, what="The password of the databases' owner could not be fetched")
            yield
        finally:
            self.forget_owner()

    def forget_owner(self):
        """Remove the owner's password."""
        Path(self.settings["owner_passfile"]).unlink(missing_ok=True)

    def migrate(self, version, address):
        """Run a release's own migrations as the databases' owner; `address` names the URIs' setting."""
        tracking, login = (database[address] for database in self.settings["databases"])
        release = f"{self.settings['home']}/releases/{version}/bin"
        migrations = [
            (f"{release}/mlflow", "db", "upgrade", tracking),
            (f"{release}/python", "-m", "mlflow.server.auth", "db", "upgrade", "--url", login),
        ]
        # Each spends most of its time on imports. A host without the memory for two takes them one by one.
        room = self.settings["room_for_two"]
        for argvs in [migrations] if room else [[migration] for migration in migrations]:
            commands_together(
                argvs,
                what=f"The migration to MLflow {version} failed",
                timeout_s=self.settings["migration_timeout_s"],
                **self.user_options(self.settings["owner_passfile"]),
            )
