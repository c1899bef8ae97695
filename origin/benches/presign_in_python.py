"""How many GET URLs boto3 presigns in a second, on one core: the same as presign.rs signs. Run by `cargo bench -p origin`; Debian's package is python3-boto3."""

import statistics
import sys
import time

try:
    import boto3
    from botocore.config import Config
except ImportError:
    sys.exit("boto3 is not here: install the package python3-boto3")

client = boto3.client(
    "s3",
    region_name="fsn1",
    endpoint_url="https://fsn1.your-objectstorage.com",
    aws_access_key_id="STACKACCESSKEY000001",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    config=Config(signature_version="s3v4"),
)
wanted = {"Bucket": "makenotwork-files", "Key": "users/1048576/works/01J9ZQ4T9Y8W7V6U5T4S3R2Q1P/Fünf Fenster.wav"}


def sign(count):
    began = time.process_time()
    for _ in range(count):
        client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=900)
    return count / (time.process_time() - began)


sign(100)
rounds = sorted(sign(1_000) for _ in range(5))
print(f"boto3 {boto3.__version__}, Python {sys.version.split()[0]}: {statistics.median(rounds):,.0f} URLs/s ({rounds[0]:,.0f} to {rounds[-1]:,.0f})")
