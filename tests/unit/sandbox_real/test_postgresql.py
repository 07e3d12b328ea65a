"""What a database's server is told."""

import pytest

from sandbox.real import postgresql


def settings(parameters=None, memory_mib=1024):
    text = postgresql.files(parameters or {}, port=5432, memory_mib=memory_mib)["postgresql.conf"]
    return dict(line.split(" = ", 1) for line in text.splitlines())


def access(parameters):
    return postgresql.files(parameters, port=5432, memory_mib=1024)["pg_hba.conf"]


@pytest.mark.parametrize("value", ["1", "on", "true"])
def test_forced_tls_leaves_no_way_in_without(value):
    assert "hostssl all all 0.0.0.0/0 scram-sha-256" in access({"rds.force_ssl": value})
    assert "\nhost all all" not in access({"rds.force_ssl": value})


def test_tls_is_forced_unless_the_parameter_says_otherwise():
    assert "hostssl" in access({})
    assert "\nhost all all 0.0.0.0/0" in access({"rds.force_ssl": "0"})


def test_the_superuser_comes_in_by_the_socket_only():
    lines = access({"rds.force_ssl": "0"}).splitlines()
    assert lines.index("host all rdsadmin all reject") < lines.index("host all all 0.0.0.0/0 scram-sha-256")


def test_connections_follow_the_classs_memory_as_on_rds():
    assert settings()["max_connections"] == "'84'"
    assert settings(memory_mib=1024 * 1024)["max_connections"] == "'5000'"


def test_a_parameter_wins_over_the_default_but_not_over_what_the_sandbox_needs():
    found = settings({"max_connections": "50", "port": "1", "ssl": "off", "hba_file": "/etc/passwd"})
    assert (found["max_connections"], found["port"], found["ssl"]) == ("'50'", "'5432'", "'on'")
    assert found["hba_file"] == "'/config/pg_hba.conf'"


def test_rdss_own_parameters_are_not_told_to_postgresql():
    assert not [
        name for name in settings({"rds.force_ssl": "1", "rds.log_retention_period": "5"}) if "rds." in name
    ]


def test_a_value_cannot_break_out_of_its_line():
    assert settings({"log_line_prefix": "it's \\n"})["log_line_prefix"] == "'it''s \\\\n'"
    assert "evil" not in settings({"a b\nevil": "1"})


def test_quotes_in_names_and_passwords_stay_inside():
    sql = postgresql.first_sql('ma"ster', "pa'ss\\", 'd"b')
    assert "CREATE ROLE \"ma\"\"ster\" LOGIN CREATEDB CREATEROLE PASSWORD 'pa''ss\\'" in sql
    assert 'CREATE DATABASE "d""b" OWNER "ma""ster";' in sql


def test_without_a_database_name_none_is_made():
    assert "CREATE DATABASE" not in postgresql.first_sql("master", "password", None)


def test_the_master_user_is_no_superuser():
    assert "SUPERUSER" not in postgresql.first_sql("master", "password", "app").replace("NOSUPERUSER", "")
