"""First contact with a host that speaks real SSH: what is pinned, and what is refused."""

import contextlib
import subprocess

import pytest

from provisioner import first_contact, known_hosts, ssh_key
from provisioner.config import Deployment
from provisioner.errors import FlowsteadError
from provisioner.host import Host
from tests.unit.provisioner_cli import ssh_host


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def meet(tmp_path):
    pair = ssh_key.generate(Deployment(), tmp_path)
    pair.save()
    pins = tmp_path / "known_hosts"

    def go(server, *, instance_id="i-0a", console=None, system="debian-13", accept_new=False):
        host = Host("127.0.0.1", instance_id, "admin", system, pair.private_path, server.port)
        return first_contact.meet(
            host,
            pins,
            console=(lambda: server.console) if console is None else console,
            clock=go.clock,
            say=go.said.append,
            accept_new=accept_new,
        )

    go.pins, go.said, go.clock = pins, [], Clock()
    return go


def test_the_key_on_the_console_is_pinned_and_openssh_knows_it(meet):
    with ssh_host.serving() as server:
        assert meet(server) == "console"
        assert set(server.logins) == {"admin"}
        found = subprocess.run(
            ["ssh-keygen", "-F", f"[127.0.0.1]:{server.port}", "-f", meet.pins],
            capture_output=True,
            text=True,
            check=True,
        )
        assert server.host_key.get_base64() in found.stdout
        assert "instance=i-0a" in found.stdout


def test_a_known_host_is_not_met_again(meet):
    with ssh_host.serving() as server:
        meet(server)
        before = meet.pins.stat()
        server.logins.clear()
        assert meet(server, console=pytest.fail) == "known"
        assert server.logins == []
        assert meet.pins.stat().st_mtime_ns == before.st_mtime_ns


def test_a_console_that_is_late_is_waited_for_and_that_is_said_once(meet):
    with ssh_host.serving() as server:
        assert meet(server, console=lambda: server.console if meet.clock.now() > 290 else "") == "console"
    (said,) = [line for line in meet.said if "console" in line]
    assert "which takes minutes (at most 300 s; --accept-new-host-key does not wait)" in said


def test_a_host_whose_console_stays_empty_is_not_trusted_unasked(meet):
    with ssh_host.serving() as server:
        with pytest.raises(
            FlowsteadError, match="The console of i-0a shows no ssh key 300 s after"
        ) as caught:
            meet(server, console=lambda: "")
        assert server.logins == []
    assert "--accept-new-host-key" in caught.value.next_step
    assert not meet.pins.exists()


def test_the_console_of_a_host_that_answers_late_is_waited_for_as_long(meet, monkeypatch):
    with ssh_host.serving() as later:
        pass
    with contextlib.ExitStack() as stack:
        sleep = meet.clock.sleep

        def boot(seconds):
            sleep(seconds)
            if meet.clock.now() == 590:
                stack.enter_context(ssh_host.serving(port=later.port, host_key=later.host_key))

        monkeypatch.setattr(meet.clock, "sleep", boot)
        assert meet(later, console=lambda: later.console if meet.clock.now() > 800 else "") == "console"


def test_who_asks_for_it_trusts_the_key_that_is_shown_without_waiting(meet):
    with ssh_host.serving() as server:
        assert meet(server, console=lambda: "", accept_new=True) == "first use"
        assert server.host_key.get_base64() in meet.pins.read_text()
    assert meet.clock.now() == 0


def test_the_console_counts_for_who_trusts_any_key_too(meet):
    with ssh_host.serving() as server, ssh_host.serving() as other:
        with pytest.raises(FlowsteadError, match="shows another host key"):
            meet(server, console=lambda: other.console, accept_new=True)
        assert server.logins == []


def test_another_key_than_the_console_printed_is_refused_before_any_login(meet):
    with ssh_host.serving() as server, ssh_host.serving() as other:
        with pytest.raises(FlowsteadError, match="shows another host key than i-0a printed on its console"):
            meet(server, console=lambda: other.console)
        assert server.logins == []
    assert not meet.pins.exists()


def test_an_address_that_a_new_instance_has_got_is_pinned_anew(meet):
    with ssh_host.serving() as server:
        meet(server)
        server.host_key = ssh_host.new_key()
        assert meet(server, instance_id="i-0b") == "console"
        (pin,) = known_hosts.read(meet.pins)
        assert pin.instance_id == "i-0b"
        assert [key.value for key in pin.keys] == [server.host_key.get_base64()]
        assert any("is another host now, i-0b" in line for line in meet.said)


def test_the_same_instance_at_a_new_address_keeps_its_key_unasked(meet):
    with ssh_host.serving() as server, ssh_host.serving() as elsewhere:
        meet(server)
        assert meet(elsewhere, console=pytest.fail) == "known"
        (pin,) = known_hosts.read(meet.pins)
        assert pin.address == f"[127.0.0.1]:{elsewhere.port}"
        assert [key.value for key in pin.keys] == [server.host_key.get_base64()]


def test_a_first_boot_that_failed_is_told_with_cloud_inits_words(meet):
    answers = {"cloud-init status --wait --long": (1, "status: error\nerrors:\n- disk full\n")}
    with ssh_host.serving(answers=answers) as server:
        with pytest.raises(FlowsteadError, match=r"cloud-init failed on i-0a: .*disk full") as caught:
            meet(server)
        assert "/var/log/cloud-init-output.log" in caught.value.next_step
    assert not meet.pins.exists()


def test_recoverable_errors_of_cloud_init_do_not_stop_it(meet):
    with ssh_host.serving(
        answers={"cloud-init status --wait --long": (2, "status: degraded done\n")}
    ) as server:
        assert meet(server) == "console"


def test_another_system_than_configured_is_refused(meet):
    with (
        ssh_host.serving() as server,
        pytest.raises(FlowsteadError, match=r"runs Debian .* \(trixie\), but server.image is ubuntu-24.04"),
    ):
        meet(server, system="ubuntu-24.04")
    assert not meet.pins.exists()


def test_a_host_that_does_not_take_the_key_is_told_as_such(meet):
    with (
        ssh_host.serving(may_log_in=False) as server,
        pytest.raises(FlowsteadError, match="refuses the login of admin") as caught,
    ):
        meet(server)
    assert "A host keeps the key pair it was made with" in caught.value.next_step


def test_a_host_that_never_answers_is_given_up_with_what_to_look_at(meet):
    with ssh_host.serving() as gone:
        pass
    with pytest.raises(FlowsteadError, match=f"does not answer on port {gone.port} after 600 s") as caught:
        meet(gone)
    assert "access.cidrs" in caught.value.next_step


def test_pins_of_other_hosts_and_foreign_lines_stay(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text("# mine\ngithub.com ssh-ed25519 AAAAC3 me\n10.0.0.1 ssh-ed25519 AAAAC4 instance=i-1\n")
    known_hosts.write(path, known_hosts.Pin("10.0.0.2", "i-2", (known_hosts.HostKey("ssh-rsa", "AAAAB3"),)))
    known_hosts.keep(path, ["i-2", "i-3"])
    assert path.read_text() == (
        "# mine\ngithub.com ssh-ed25519 AAAAC3 me\n10.0.0.2 ssh-rsa AAAAB3 instance=i-2\n"
    )
    known_hosts.keep(path, ())
    assert path.read_text() == "# mine\ngithub.com ssh-ed25519 AAAAC3 me\n"


def test_pins_go_with_their_hosts(made):
    """A replaced host's address may have changed, too."""
    pins = made.inventory / "known_hosts"
    host, stale = pins.read_text(), "10.0.0.1 ssh-ed25519 AAAAC4 instance=i-1\n"
    theirs = "# theirs\n\n10.0.0.1 ssh-ed25519 AAAAC3 me\n"
    pins.write_text(stale + theirs + host)
    assert made.run().code == 0
    assert pins.read_text() == theirs + host
    made.configure("database: {deletion_protection: false}\n")
    assert made.run().code == 0
    pins.write_text(stale + theirs + host)
    assert made.run("destroy", "--yes").code == 0
    assert pins.read_text() == theirs


def test_the_last_of_several_boots_on_the_console_counts():
    block = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 {} root@x\n-----END SSH HOST KEY KEYS-----\n"
    keys = known_hosts.keys_on_console("x\n" + block.format("AAAAold") + block.format("AAAAnew"))
    assert keys == (known_hosts.HostKey("ssh-ed25519", "AAAAnew"),)
    assert known_hosts.keys_on_console("no block") == ()
