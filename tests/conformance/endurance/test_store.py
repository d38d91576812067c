"""The stored state when something is wrong with it, and `nlb store`."""

import os
import signal

import pytest

from conftest import Make
from inventory import I1
from server import Server


@pytest.fixture
def own():
    """A server with something in its store."""
    server = Server()
    try:
        server.start()
        make = Make(server.client())
        group = make.group(Name="kept")["TargetGroupArn"]
        make.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
        make.listener(group=group)
        yield server
    finally:
        server.close()


def files(server):
    """The files of the store, the largest first."""
    found = [path for path in server.state.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def database(server):
    """The database itself."""
    return next(path for path in files(server) if path.read_bytes()[:15] == b"SQLite format 3")


def said(server):
    """What it says when it does not start."""
    with pytest.raises(AssertionError) as error:
        server.start()
    assert "ended with" in str(error.value) and "panicked" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("how", ["noise", "cut", "empty", "zeros in the middle"])
def test_a_damaged_file_is_said_to_be_damaged_and_left_alone(own, how):
    own.stop()
    path = database(own)
    for other in files(own):
        if other.name.endswith(("-wal", "-shm")):
            other.unlink()
    text = path.read_bytes()
    spoilt = {
        "noise": b"\x5a" * len(text),
        "cut": text[: len(text) // 2],
        "empty": b"not a database",
        "zeros in the middle": text[:2048] + bytes(len(text) - 4096) + text[-2048:],
    }[how]
    path.write_bytes(spoilt)
    assert path.name in said(own)
    assert path.read_bytes() == spoilt
    path.write_bytes(text)
    own.start()
    assert own.client().describe_target_groups(Names=["kept"])["TargetGroups"]


def test_a_newer_schema_is_refused(own):
    own.stop()
    import sqlite3

    path = database(own)
    with sqlite3.connect(path) as connection:
        version = connection.execute("pragma user_version").fetchone()[0]
        assert version > 0
        connection.execute(f"pragma user_version = {version + 1}")
    connection.close()
    assert "newer" in said(own)
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {version}")
    connection.close()
    own.start()
    assert own.client().describe_target_groups(Names=["kept"])["TargetGroups"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written(own):
    own.stop()
    own.state.chmod(0o500)
    assert str(own.state) in said(own)


def test_a_state_directory_that_is_a_file(own):
    own.stop()
    own.state = own.dir / "file"
    own.state.write_text("")
    assert str(own.state) in said(own)


def test_backup_export_import_and_check(own):
    backup, export = own.dir / "backup", own.dir / "export.json"
    own.nlb("store", "backup", backup, "--state", own.state)
    export.write_text(own.nlb("store", "export", "--state", own.state))
    own.nlb("store", "check", "--state", own.state)
    elb = own.client()
    before = elb.describe_target_groups()["TargetGroups"], elb.describe_load_balancers()["LoadBalancers"]
    done = own.nlb("store", "import", export, "--force", "--state", own.state, check=False)
    assert done.returncode == 1, "the controller runs"
    own.stop(signal.SIGKILL)
    for file in (backup, export):
        own.state = own.dir / f"from-{file.name}"
        own.nlb("store", "import", file, "--state", own.state)
        own.start()
        elb = own.client()
        after = elb.describe_target_groups()["TargetGroups"], elb.describe_load_balancers()["LoadBalancers"]
        assert after[0] == before[0]
        assert [it["LoadBalancerArn"] for it in after[1]] == [it["LoadBalancerArn"] for it in before[1]]
        own.stop()
