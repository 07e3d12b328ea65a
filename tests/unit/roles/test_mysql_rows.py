"""Dumps of MySQL's rows as they are read, and the addresses of its databases."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from flowstead_host.engines import mysql_address, mysql_rows
from flowstead_host.errors import ChangeError

DUMP = r"""SET NAMES utf8mb4;
DELETE FROM `empty`;
DELETE FROM `rows`;
INSERT INTO `rows` (`id`, `what`) VALUES
('1', 'a;'),
('2', 'INSERT INTO `rows` (`x`) VALUES\n(1);');
INSERT INTO `rows` (`id`, `what`) VALUES
('3', NULL);
ALTER TABLE `rows` AUTO_INCREMENT = 7;
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "dump"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_are_counted_by_table_and_values_are_taken_for_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path, DUMP)
    assert mysql_rows.rows_in(path) == {"empty": 0, "rows": 3}
    assert len(list(mysql_rows.statements(path))) == 6


@pytest.mark.parametrize("keep", [-1, -9, 40])
def test_a_dump_that_is_cut_off_is_noticed(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path, DUMP)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ChangeError, match="cannot be read back"):
        mysql_rows.rows_in(path)


def test_one_that_was_not_written_to_its_end_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, DUMP.rpartition("'2'")[0])
    with pytest.raises(ChangeError, match="ends within a statement"):
        mysql_rows.rows_in(path)


def test_an_address_is_read_as_mlflow_reads_it() -> None:
    uri = "mysql+pymysql://some%40one@db.example:3307/mlflow?read_default_file=/run/my.cnf&ssl_ca=/etc/ca.pem"
    assert mysql_address.options(uri) == {
        "host": "db.example",
        "port": 3307,
        "user": "some@one",
        "ssl": {"ca": "/etc/ca.pem"},
        "read_default_file": "/run/my.cnf",
    }


@pytest.mark.parametrize(
    "query", ["", "?ssl_check_hostname=true", "?ssl_ca=/ca.pem&ssl_check_hostname=false"]
)
def test_a_server_that_could_be_anyone_is_not_asked(query: str) -> None:
    with pytest.raises(ChangeError, match=r"ssl_ca|ssl_check_hostname"):
        mysql_address.options(f"mysql+pymysql://one@db.example/mlflow{query}")
