"""upload.py against a real S3 store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

from tests.support.stages import ACCESS, SECRET, gateway

__all__ = ["gateway"]
QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"


def upload(endpoint: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": secret}
    command = [sys.executable, str(QUICKSTART / "upload.py"), "--endpoint", endpoint]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_data_lies_where_the_training_job_looks_and_may_be_put_there_twice(gateway: str) -> None:
    spec = yaml.safe_load((QUICKSTART / "2-training-job.yaml").read_text())["spec"]
    client = boto3.client(
        "s3", endpoint_url=gateway, region_name="us-east-1", aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip
    for made in (2, 0):
        done = upload(gateway)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("made the bucket") == made
        bucket, _, prefix = spec["data"]["train"]["uri"].removeprefix("s3://").partition("/")
        (found,) = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        content = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        assert content == (QUICKSTART / "data" / "cars.csv").read_bytes()
    client.head_bucket(Bucket=spec["store"]["uri"].removeprefix("s3://").partition("/")[0])


def test_wrong_keys_are_not_taken_for_a_missing_bucket(gateway: str) -> None:
    done = upload(gateway, "wrong")
    assert done.returncode != 0
    assert "made the bucket" not in done.stdout
