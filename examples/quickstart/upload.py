"""Make the buckets of the quick start where they are missing, and put its data into the store.

python3 examples/quickstart/upload.py --endpoint http://localhost:7070

It needs boto3, and the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. For Amazon S3 leave the endpoint out.
"""

import argparse
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = Path(__file__).parent / "data" / "cars.csv"

parser = argparse.ArgumentParser(description="Put the data of the quick start into an S3-compatible store.")
parser.add_argument("--endpoint", help="URL of the store; left out: Amazon S3")
parser.add_argument("--region", default="us-east-1")
parser.add_argument("--data", default="s3://data/cars/", help="spec.data.train.uri of 2-training-job.yaml")
parser.add_argument("--models", default="s3://models/prod", help="spec.store.uri of 2-training-job.yaml")
options = parser.parse_args()

client = boto3.client(
    "s3", endpoint_url=options.endpoint, region_name=options.region, config=Config(s3={"addressing_style": "path"})
)
bucket, _, prefix = options.data.removeprefix("s3://").partition("/")
for name in dict.fromkeys((bucket, options.models.removeprefix("s3://").partition("/")[0])):
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        place = {} if options.region == "us-east-1" else {"LocationConstraint": options.region}
        client.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
        print(f"made the bucket {name}")
key = prefix.rstrip("/") + "/" + DATA.name if prefix.rstrip("/") else DATA.name
client.upload_file(str(DATA), bucket, key)
print(f"put {DATA.name}, {DATA.stat().st_size} bytes, at s3://{bucket}/{key}")
