from __future__ import annotations

import gc
import hashlib
import os
import tracemalloc

import pytest

MIB = 1 << 20
PART = 8 * MIB
PARTS = 12


@pytest.fixture
def peak():
    """Tell the most memory that the account and its client have taken since the last question, in MiB."""

    def taken():
        most = tracemalloc.get_traced_memory()[1] / MIB
        tracemalloc.reset_peak()
        return most

    tracemalloc.start()
    yield taken
    tracemalloc.stop()


@pytest.fixture
def upload(client, unique):
    """Upload in parts, as clients do what is large; gives the sum of it all."""
    s3, named = client("s3"), {"Bucket": unique, "Key": "large"}
    s3.create_bucket(Bucket=unique)

    def run(**options):
        upload_id = s3.create_multipart_upload(**named, **options)["UploadId"]
        done, whole = [], hashlib.sha256()
        for number in range(1, PARTS + 1):
            body = os.urandom(PART)
            whole.update(body)
            answer = s3.upload_part(**named, UploadId=upload_id, PartNumber=number, Body=body)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        s3.complete_multipart_upload(**named, UploadId=upload_id, MultipartUpload={"Parts": done})
        return whole.hexdigest()

    return run


def read(body):
    whole = hashlib.sha256()
    while piece := body.read(MIB):
        whole.update(piece)
    return whole.hexdigest()


@pytest.mark.parametrize("checksum", ["COMPOSITE", "FULL_OBJECT"])
def test_a_large_object_is_never_in_memory_as_a_whole(client, unique, upload, peak, checksum):
    s3, named = client("s3"), {"Bucket": unique, "Key": "large"}
    expected = upload(ChecksumAlgorithm="CRC32", ChecksumType=checksum)
    # A part is there several times over: the client's, the request's, moto's.
    assert peak() < PARTS * PART / MIB
    assert read(s3.get_object(**named)["Body"]) == expected
    assert peak() < 2 * PART / MIB
    start = 3 * PART + 5
    part = s3.get_object(**named, Range=f"bytes={start}-{start + MIB - 1}")
    assert part["ContentRange"] == f"bytes {start}-{start + MIB - 1}/{PARTS * PART}"
    assert len(part["Body"].read()) == MIB
    assert peak() < PART / MIB
    head = s3.head_object(**named)
    assert head["ContentLength"] == PARTS * PART
    assert head["ETag"].endswith(f'-{PARTS}"')
    s3.copy_object(**{**named, "Key": "copy"}, CopySource=named, ChecksumAlgorithm="CRC32")
    # moto hashes a copy in pieces of 16 MiB.
    assert peak() < 5 * PART / MIB
    s3.delete_object(**named)
    assert read(s3.get_object(**{**named, "Key": "copy"})["Body"]) == expected


def test_an_object_in_one_piece_is_read_while_it_is_replaced(client, unique):
    s3, named = client("s3"), {"Bucket": unique, "Key": "large"}
    s3.create_bucket(Bucket=unique)
    old, new = os.urandom(PART), os.urandom(PART)
    s3.put_object(**named, Body=old)
    body = s3.get_object(**named)["Body"]
    begun = body.read(MIB)
    s3.put_object(**named, Body=new)
    assert begun + body.read() == old
    assert s3.get_object(**named)["Body"].read() == new
    assert s3.get_object(**named, PartNumber=1)["Body"].read() == new


def test_the_versions_of_a_large_object_are_listed_and_deleted(client, unique):
    s3, named = client("s3"), {"Bucket": unique, "Key": "large"}
    s3.create_bucket(Bucket=unique)
    s3.put_bucket_versioning(Bucket=unique, VersioningConfiguration={"Status": "Enabled"})
    for size in (2 * MIB, 3 * MIB):
        s3.put_object(**named, Body=bytes(size))
    s3.delete_object(**named)
    listed = s3.list_object_versions(Bucket=unique)
    # What was copied for the list is gone, and took nothing along.
    gc.collect()
    for one in listed["Versions"]:
        body = s3.get_object(**named, VersionId=one["VersionId"])["Body"].read()
        assert body == bytes(one["Size"])
    assert [(one["Size"], one["IsLatest"]) for one in listed["Versions"]] == [
        (3 * MIB, False),
        (2 * MIB, False),
    ]
    assert [one["IsLatest"] for one in listed["DeleteMarkers"]] == [True]
    for one in (*listed["Versions"], *listed["DeleteMarkers"]):
        s3.delete_object(**named, VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=unique)
