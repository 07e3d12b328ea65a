"""How the schema of a database is compared with a release's, where no host of ours does it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from day_two.schema_in_image import STORES, state
from day_two.ways import as_owner


@pytest.mark.parametrize(
    ("noted", "is_so"), [("b", "same"), ("a", "older"), ("z", "newer"), ("", "empty")], ids=str
)
@pytest.mark.parametrize("table", [table for _, table in STORES])
def test_each_database_is_compared_by_the_table_that_mlflow_notes_its_revision_in(
    table: str, noted: str, is_so: str
) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    versions = sa.Table(table, sa.MetaData(), sa.Column("version_num", sa.String(32)))
    if noted:
        versions.create(engine)
        with engine.begin() as connection:
            connection.execute(versions.insert().values(version_num=noted))
    assert state(engine, table, {"a", "b"}, {"b"}) == is_so


def test_an_owner_has_a_name_and_a_password_file_of_its_own() -> None:
    uri = "postgresql+psycopg2://mlflow_application@db.example.com:5432/mlflow?sslmode=verify-full"
    owner = as_owner(uri, "mlflow_owner", "/run/secrets/pgpass-owner")
    assert owner.startswith("postgresql+psycopg2://mlflow_owner@db.example.com:5432/mlflow?")
    assert owner.endswith("sslmode=verify-full&passfile=/run/secrets/pgpass-owner")
    uri = (
        "mysql+pymysql://mlflow_application@db.example.com:3306/mlflow?read_default_file=/run/secrets/pgpass"
    )
    owner = as_owner(uri, "mlflow_owner", "/run/secrets/pgpass-owner")
    assert owner.endswith("/mlflow?read_default_file=/run/secrets/pgpass-owner")
