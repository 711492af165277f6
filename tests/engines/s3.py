"""Two S3 services on the loopback, each a program of its own with an empty bucket: moto's server, and s3proxy.

moto answers as AWS does now; s3proxy of that release knows none of the checksums that AWS's libraries add by default,
as many a service in use.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.engines.maven import CannotRunError, jars, java

S3PROXY = "org.gaul:s3proxy:2.6.0"
CONFIG = """s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.authorization=aws-v4
s3proxy.identity={key}
s3proxy.credential={secret}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={folder}
jclouds.identity=unused
jclouds.credential=unused
"""
SERVERS = ("moto", "s3proxy")
BUCKET = "retina"
START_SECONDS = 60


class S3Server(ABC):
    """One running service with an empty bucket. Stop it."""

    name: str

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"odin-{self.name}-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.key, self.secret = secrets.token_hex(10), secrets.token_hex(20)
        with (self.home / "server.log").open("wb") as out:
            self._process = subprocess.Popen(
                self.command(),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(Moto.UNASKED)},
            )
        try:
            self._wait()
            self.prepare()
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the bucket."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets to reach it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self) -> None:
        """End it, however often this is called."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def client(self, service: str = "s3") -> Any:
        """By another library than those of ours."""
        import boto3  # whoever runs no such service need not have it

        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def names(self, address: str) -> list[str]:
        """The addresses of all objects below one."""
        client, prefix = self.client(), address.removeprefix(f"s3://{BUCKET}/")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [f"s3://{BUCKET}/{entry['Key']}" for page in pages for entry in page.get("Contents", ())]

    def get(self, address: str) -> bytes:
        """An object, past our store."""
        key = address.removeprefix(f"s3://{BUCKET}/")
        return bytes(self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def put(self, address: str, data: bytes) -> None:
        """Write an object past our store."""
        self.client().put_object(Bucket=BUCKET, Key=address.removeprefix(f"s3://{BUCKET}/"), Body=data)

    def delete(self, address: str) -> None:
        """Delete an object past our store."""
        self.client().delete_object(Bucket=BUCKET, Key=address.removeprefix(f"s3://{BUCKET}/"))

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    log = (self.home / "server.log").read_text(errors="replace")[-2000:]
                    raise CannotRunError(f"{self.name} did not start: {log}") from error
                time.sleep(0.1)


class Moto(S3Server):
    """It asks for credentials as soon as there is somebody who has some."""

    name = "moto"
    UNASKED = 4
    """Requests that need none: those of `prepare`."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def prepare(self) -> None:
        key, secret = self._user("*")
        self.client().create_bucket(Bucket=BUCKET)
        self.key, self.secret = key, secret

    def reader(self) -> tuple[str, str]:
        """The key and the secret of somebody who may only read."""
        return self._user(["s3:Get*", "s3:List*", "s3:Head*"])

    def _user(self, actions: str | list[str]) -> tuple[str, str]:
        people, name = self.client("iam"), secrets.token_hex(4)
        people.create_user(UserName=name)
        made = people.create_access_key(UserName=name)["AccessKey"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        people.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
        return made["AccessKeyId"], made["SecretAccessKey"]


class S3Proxy(S3Server):
    name = "s3proxy"

    def command(self) -> list[str]:
        path, folder = jars("s3proxy", S3PROXY), self.home / "data"
        (folder / BUCKET).mkdir(parents=True)
        (self.home / "conf").write_text(CONFIG.format(port=self.port, key=self.key, secret=self.secret, folder=folder))
        program = java("s3proxy", newest=True)
        return [program, "-Xmx256m", "-cp", f"{path}/*", "org.gaul.s3proxy.Main", "--properties", "conf"]

    def prepare(self) -> None:
        """The bucket is a folder."""


def start(name: str) -> S3Server:
    """Start one by its name."""
    return {"moto": Moto, "s3proxy": S3Proxy}[name]()


def in_s3(path: Path) -> str:
    """Where what a test would have in its own folder is kept in the bucket."""
    return f"s3://{BUCKET}/{path.name}"


def mirrored(address: str) -> Path:
    """A folder with what is below an address of the service that the environment names."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    folder = Path(tempfile.mkdtemp(prefix="odin-mirror-"))
    import boto3

    client = boto3.Session().client("s3")  # the module's own session keeps the keys of the first service that was asked
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", ()):
            into = folder / entry["Key"].removeprefix(f"{prefix}/")
            into.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, entry["Key"], str(into))
    return folder
