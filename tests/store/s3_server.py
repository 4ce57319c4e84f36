"""A SeaweedFS server for tests: `python -m tests.store.s3_server` prints its URL and serves until its stdin ends.

Whoever started it holds the other end of stdin, so that the server ends with them however they end.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY, SECRET, BUCKET = "synth-tests", "synth-tests-secret", "synth-tests"
IDENTITIES = {"identities": [{"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}]}


def weed() -> str | None:
    """The program, from the environment of this Python or the PATH."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def environment(url: str) -> dict[str, str]:
    """What to set for the server's one user."""
    own = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
    return own | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@contextmanager
def server() -> Iterator[str]:
    """A running server with the bucket `BUCKET`; gives its URL."""
    command = [sys.executable, "-m", "tests.store.s3_server"]
    root = Path(__file__).parents[2]
    # A session of its own: Ctrl-C is for pytest, which then closes stdin.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("no S3 server: see what it said above")
        yield url


def serve() -> None:
    for _ in range(5):  # another process may take a port between its choice and its use
        with tempfile.TemporaryDirectory(prefix="weed-") as folder:
            ports = free_ports()
            process = start(Path(folder), ports)
            try:
                if ready(process, ports):
                    print(f"http://127.0.0.1:{ports['s3']}", flush=True)
                    sys.stdin.read()
                    return
            finally:
                process.kill()
                process.wait()
                for port in [*ports.values(), *(port + 10_000 for port in ports.values())]:
                    for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                        left.unlink(missing_ok=True)
            log = (Path(folder) / "log").read_text(errors="replace")
    sys.exit(f"weed does not start; its log ends:\n{log[-3000:]}")


def free_ports() -> dict[str, int]:
    """A port for each service, below those that the system hands out; a service also takes the port 10,000 above its own for gRPC."""
    found: dict[str, int] = {}
    for name in ("master", "volume", "filer", "s3"):
        while name not in found:
            port = random.randrange(10_000, 22_000)
            if port not in found.values() and free(port) and free(port + 10_000):
                found[name] = port
    return found


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def start(folder: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(json.dumps(IDENTITIES))
    program = weed()
    assert program is not None
    options = [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", "-master.telemetry=false"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=50", "-volume.minFreeSpace=100MiB"),
        *("-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([program, "-logtostderr", "server", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def ready(process: subprocess.Popen[bytes], ports: dict[str, int]) -> bool:
    """Wait until an object can be put, which also makes the bucket; False if the server ends before or takes too long."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        # In this order: a put that comes before there is room for it waits for seconds in the server.
        if has_room(ports["master"]) and takes_puts(ports["s3"]):
            return True
        time.sleep(0.05)
    return False


def has_room(port: int) -> bool:
    """Whether the master at `port` knows its volume server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        connection.request("GET", "/dir/status")
        return bool(json.load(connection.getresponse())["Topology"]["Max"])
    return False


def takes_puts(port: int) -> bool:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    url = f"http://127.0.0.1:{port}"
    config = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_region": "us-east-1", "aws_endpoint": url}
    store = S3Store(BUCKET, config=config, client_options={"allow_http": True, "timeout": "5s"}, retry_config={"max_retries": 0})
    with contextlib.suppress(BaseError):
        obstore.put(store, "ready", b"an empty object would need no room")
        return True
    return False


if __name__ == "__main__":
    serve()
