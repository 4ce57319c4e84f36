"""The files of a store: the same contract in a folder and on S3."""

from __future__ import annotations

import pickle
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from synth.errors import MissingPartError, StoreCallError, StoreError
from synth.store.files import Files, files_at, probe
from tests.store import s3_server

OPERATIONS: dict[str, Callable[[Files], object]] = {
    "read": lambda files: files.read("a"),
    "write": lambda files: files.write("a", b"1"),
    "create": lambda files: files.create("a", b"1"),
    "exists": lambda files: files.exists("a"),
    "list": lambda files: files.list("a"),
    "delete": lambda files: files.delete("a"),
    "probe": probe,
}


@pytest.fixture
def files(place: str) -> Files:
    return files_at(place)


def message(files: Files, operation: str) -> str:
    with pytest.raises(StoreError) as caught:
        OPERATIONS[operation](files)
    text = str(caught.value)
    assert s3_server.SECRET not in text
    assert "\n" not in text
    return text


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"one\r\n\x00\xff", bytes(6_000_000)], ids=["empty", "bytes", "6 MB"])
def test_what_is_written_is_read(files: Files, data: bytes) -> None:
    files.write("folder/name.json", data)
    assert files.read("folder/name.json") == data


def test_absent(files: Files) -> None:
    assert files.read("name") is None
    assert not files.exists("name")
    assert files.list("") == files.list("folder") == []
    files.delete("name")
    files.delete("folder/name")


def test_write_replaces(files: Files) -> None:
    files.write("name", b"longer than the next")
    files.write("name", b"next")
    assert files.read("name") == b"next"
    assert files.list("") == ["name"]


def test_create_only_once(files: Files) -> None:
    assert files.create("folder/name", b"first")
    assert not files.create("folder/name", b"second")
    assert files.read("folder/name") == b"first"
    assert files.list("") == ["folder/name"]
    files.delete("folder/name")
    assert files.create("folder/name", b"third")


def test_one_of_many_creates(files: Files) -> None:
    for race in range(10):
        together = threading.Barrier(2)  # more at once and SeaweedFS takes a second

        def create(data: bytes, name: str = f"race/{race}", together: threading.Barrier = together) -> bool:
            together.wait()
            return files.create(name, data)

        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(create, [b"0", b"1"]))
        assert made.count(True) == 1
        assert files.read(f"race/{race}") == b"%d" % made.index(True)
    assert len(files.list("")) == 10


def test_a_reader_sees_whole_files_only(files: Files) -> None:
    values = [bytes([digit]) * 300_000 for digit in range(8)]
    files.write("name", values[0])
    done = threading.Event()

    def read() -> list[bytes | None]:
        found = []
        while not done.is_set():
            found.append(files.read("name"))
        return found

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for value in values * 5:
            files.write("name", value)
        done.set()
    assert {value for reader in readers for value in reader.result()} <= set(values)


def test_list_takes_folders_and_sorts(files: Files) -> None:
    names = ["a/2.json", "a/1.json", "a/b/3.json", "ab/4.json", "5.json"]
    for name in names:
        files.write(name, b"x")
    assert files.list("") == sorted(names)
    assert files.list("a") == files.list("a/") == ["a/1.json", "a/2.json", "a/b/3.json"]
    assert files.list("a/b") == ["a/b/3.json"]
    assert files.list("a/1") == []
    assert files.exists("a/1.json")
    assert not files.exists("a")
    assert files.read("a/b/3.json") == b"x"


def test_a_long_list(files: Files) -> None:
    names = [f"objects/{number:04d}" for number in range(1100)]  # a page of S3 holds 1000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: files.write(name, b""), names))
    assert files.list("objects") == names


def test_delete(files: Files) -> None:
    files.write("folder/name", b"x")
    files.write("folder/other", b"y")
    files.delete("folder/name")
    assert files.read("folder/name") is None
    assert files.list("folder") == ["folder/other"]


def test_pickles_without_secrets(files: Files) -> None:
    files.write("name", b"x")
    pickled = pickle.dumps(files)
    assert s3_server.SECRET.encode() not in pickled
    assert s3_server.KEY.encode() + b'"' not in pickled
    copy = pickle.loads(pickled)
    assert copy.place == files.place
    assert copy.read("name") == b"x"
    assert files.place in repr(copy)


def test_lance_is_at_the_same_place(files: Files) -> None:
    import lance
    import pyarrow as pa

    lance.write_dataset(pa.table({"a": [1, 2]}), files.lance_uri("t.lance"), storage_options=files.lance_options)
    assert lance.dataset(files.lance_uri("t.lance"), storage_options=files.lance_options).count_rows() == 2
    assert any(name.startswith("t.lance/data/") for name in files.list("t.lance"))


def test_probe_leaves_nothing(files: Files) -> None:
    probe(files)
    assert files.list("") == []
    assert files.local is None or not files.local.exists()


# --- a folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = files_at("data/store")
    assert (files.place, files.local) == (str(tmp_path / "data" / "store"), tmp_path / "data" / "store")
    assert files.lance_options is None
    assert files.lance_uri("t.lance") == str(tmp_path / "data" / "store" / "t.lance")
    assert not (tmp_path / "data").exists()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_at(tmp_path)
    files.write("name", b"before")

    def full(path: Path, data: bytes) -> int:
        path.open("wb").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for operation in (files.write, files.create):
        with pytest.raises(StoreError, match=r"^cannot write \S+name: No space left on device; what was committed before is whole$"):
            operation("name", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
    assert files.read("name") == b"before"


def test_half_written_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".name.0123").write_bytes(b"hal")
    files = files_at(tmp_path)
    files.write("name", b"whole")
    assert files.list("") == ["name"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    files = files_at(tmp_path / "store")
    assert files.read("name") is None
    assert not files.exists("name")
    assert files.list("") == []
    files.delete("name")
    with pytest.raises(StoreError, match=r"cannot write \S+store/name: "):
        files.write("name", b"")
    with pytest.raises(StoreError, match=r"cannot read \S+: Is a directory"):
        files_at(tmp_path.parent).read(tmp_path.name)


# --- what S3 is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    ["", "gs://bucket/x", "https://host/bucket", "file:///x", "s3:/bucket/x", Path("s3://bucket/x"), "s3://", "s3:///x", "s3://Bucket/x"]
    + [
        "s3://b/x",
        "s3://bucket//x",
        "s3://bucket/x//y",
        "s3://bucket/../x",
        "s3://bucket/.x",
        "s3://bucket/x y",
        "s3://bucket/ü",
        "S3://b/x",
    ],
    ids=str,
)
def test_no_such_place(place: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreCallError, match=r"s3://bucket/prefix") as caught:
        files_at(place)
    assert f"'{place}'" in str(caught.value)


def clear(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in (
        "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY",
        "SESSION_TOKEN",
        "REGION",
        "DEFAULT_REGION",
        "ENDPOINT",
        "ENDPOINT_URL",
        "ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def test_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s")
    options = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_region": "us-east-1"}
    files = files_at("s3://bucket/some/pre-fix=1/")
    assert files.lance_options == options
    assert files.place == "s3://bucket/some/pre-fix=1"
    assert files.lance_uri("t.lance") == "s3://bucket/some/pre-fix=1/t.lance"
    assert files_at("s3://bucket").lance_uri("t.lance") == "s3://bucket/t.lance"

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://one.example")
    options |= {"aws_region": "eu-west-1", "aws_endpoint": "https://one.example"}
    assert files_at("s3://bucket").lance_options == options

    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://two.example:9000/")
    options |= {"aws_region": "eu-west-2", "aws_session_token": "t", "aws_endpoint": "http://two.example:9000", "allow_http": "true"}
    assert files_at("s3://bucket").lance_options == options


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_no_credentials(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s")
    monkeypatch.setenv(missing, "")
    with pytest.raises(StoreCallError, match=f"^store s3://bucket/x: {missing} is not set; set it"):
        files_at("s3://bucket/x")


@pytest.mark.parametrize("endpoint", ["ftp://host", "host:9000", "http://", "http://user:secret@host", "http://host:port"])
def test_no_endpoint(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s", ENDPOINT_URL=endpoint)
    with pytest.raises(StoreCallError, match="AWS_ENDPOINT_URL must be") as caught:
        files_at("s3://bucket/x")
    assert "secret" not in str(caught.value)


def test_obstore_is_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingPartError, match=r"pip install 'synth\[s3\]'"):
        files_at("s3://bucket/x")


# --- what S3 answers --------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_at("s3://not-there/x")
    # SeaweedFS makes a bucket that its owner writes to
    for operation in ("read", "exists", "list", "delete"):
        assert re.fullmatch(
            r"store s3://not-there/x: http://\S+ has no bucket 'not-there'; make it, or name another", message(files, operation)
        )


@pytest.mark.parametrize(
    ("variable", "found"), [("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")]
)
def test_wrong_credentials(s3: str, variable: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "not-this-one")
    files = files_at(s3)
    for operation in OPERATIONS:
        text = message(files, operation)
        assert f"refuses the credentials ({found}); set AWS_ACCESS_KEY_ID" in text
        assert "not-this-one" not in text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nobody_answers(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s", ENDPOINT_URL="http://127.0.0.1:1")
    text = message(files_at("s3://bucket/x"), operation)
    assert re.fullmatch(
        r"store s3://bucket/x: cannot \w+ \S+: http://127.0.0.1:1 does not answer; is it up, and AWS_ENDPOINT_URL right\?", text
    )


class Imitation(ThreadingHTTPServer):
    """A service that takes puts in its own way; `answer` may say a status and a body before it looks at a request."""

    def __init__(self, put: Callable[[Imitation, str, bytes, bool], int], answer: tuple[int, str] | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.put, self.answer = put, answer
        self.kept: dict[str, bytes] = {}
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def reply(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.answer is not None:
            status, body = self.server.answer
            return self.reply(status, body.encode())
        if self.command == "PUT":
            return self.reply(self.server.put(self.server, self.path, data, self.headers.get("If-None-Match") == "*"))
        if self.command == "POST":
            for key in re.findall(r"<Key>(.*?)</Key>", data.decode()):
                self.server.kept.pop(f"/bucket/{key}", None)
            return self.reply(
                200, re.sub(r".*?(<Key>.*?</Key>).*", r"<DeleteResult><Deleted>\1</Deleted></DeleteResult>", data.decode()).encode()
            )
        if self.path in self.server.kept:
            return self.reply(200, self.server.kept[self.path])
        return self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_GET = do_PUT = do_POST = handle_one

    def log_message(self, format: str, *args: object) -> None:
        pass


def exact(service: Imitation, path: str, data: bytes, if_absent: bool) -> int:
    with service.lock:
        if if_absent and path in service.kept:
            return 412
        service.kept[path] = data
        return 200


def deaf(service: Imitation, path: str, data: bytes, if_absent: bool) -> int:
    return exact(service, path, data, False)


def late(service: Imitation, path: str, data: bytes, if_absent: bool) -> int:
    """Looks, then puts: right for one after another, wrong for two at once."""
    if if_absent and path in service.kept:
        return 412
    time.sleep(0.1)
    return exact(service, path, data, False)


@contextmanager
def imitation(
    monkeypatch: pytest.MonkeyPatch, put: Callable[[Imitation, str, bytes, bool], int] = exact, answer: tuple[int, str] | None = None
) -> Iterator[Files]:
    with Imitation(put, answer) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        clear(monkeypatch, ACCESS_KEY_ID="k", SECRET_ACCESS_KEY="s", ENDPOINT_URL=f"http://127.0.0.1:{service.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        try:
            yield files_at("s3://bucket/x")
        finally:
            service.shutdown()
            thread.join()


def test_probe_takes_a_service_that_honours_put_if_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    with imitation(monkeypatch, exact) as files:
        probe(files)


@pytest.mark.parametrize("put", [deaf, late], ids=lambda put: put.__name__)
def test_probe_refuses_a_service_that_does_not(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with imitation(monkeypatch, put) as files:
        assert "does not honour put-if-absent (If-None-Match: *)" in message(files, "probe")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, "<html>no S3 here</html>", "does not answer as S3 does (status 404); is AWS_ENDPOINT_URL right?"),
        (403, "<Error><Code>AccessDenied</Code></Error>", "forbids it to this user (AccessDenied); allow it there"),
        (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", "is not in region us-east-1; set AWS_REGION"),
        (301, "<Error><Code>PermanentRedirect</Code></Error>", "is not in region us-east-1; set AWS_REGION"),
        (400, "<Error><Code>ExpiredToken</Code></Error>", "refuses the credentials (ExpiredToken)"),
    ],
    ids=["404", "AccessDenied", "AuthorizationHeaderMalformed", "PermanentRedirect", "ExpiredToken"],
)
def test_what_an_answer_means(status: int, body: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with imitation(monkeypatch, answer=(status, body)) as files:
        for operation in OPERATIONS:
            assert says in message(files, operation)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [(501, "NotImplemented", "cannot do it (NotImplemented); use a service"), (503, "SlowDown", "fails (SlowDown); try again later")],
    ids=["NotImplemented", "SlowDown"],
)
def test_what_a_failure_means(status: int, code: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with imitation(monkeypatch, answer=(status, f"<Error><Code>{code}</Code></Error>")) as files:
        assert says in message(files, "probe")


def test_an_answer_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with imitation(monkeypatch, answer=(200, "<html>no S3 here</html>")) as files:
        assert "does not answer as S3 does; is AWS_ENDPOINT_URL right?" in message(files, "delete")
