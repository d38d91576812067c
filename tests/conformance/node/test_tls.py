"""The API over TLS: a certificate in node.toml, and a new one on SIGHUP."""

import http.client
import signal
import socket
import ssl
import subprocess
import time

import pytest
from botocore.exceptions import BotoCoreError

from inventory import SUBNET_A
from server import Server

API = '\n[api]\ncertificate_file = "api.pem"\nkey_file = "api.key"\n'


def certify(server, name):
    """Gives it a certificate for 127.0.0.1 with a common name."""
    pem, key = server.dir / "api.pem", server.dir / "api.key"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "rsa:2048", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", pem]
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)


@pytest.fixture
def tls():
    server = Server(more=API)
    try:
        certify(server, "first")
        server.ca = str(server.dir / "api.pem")
        server.start()
        yield server
    finally:
        server.close()


def common_name(server):
    """Of the certificate that it shows."""
    host, port = server.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=server.ca)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        with context.wrap_socket(connection, server_hostname=host) as session:
            return dict(pair for part in session.getpeercert()["subject"] for pair in part)["commonName"]


def test_calls_over_tls(tls):
    assert tls.url.startswith("https://")
    elb = tls.client()
    elb.create_load_balancer(Name="a", Type="network", Subnets=[SUBNET_A])
    assert elb.describe_load_balancers(Names=["a"])["LoadBalancers"]


def test_a_client_that_trusts_nobody_does_not_call(tls):
    tls.ca = None
    with pytest.raises(BotoCoreError):
        tls.client().describe_load_balancers()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    "version, is_spoken", [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)]
)
def test_versions(tls, version, is_spoken):
    host, port = tls.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            with context.wrap_socket(connection, server_hostname=host) as session:
                assert session.version() and is_spoken
    except ssl.SSLError:
        assert not is_spoken


def test_plain_http_gets_no_answer_of_the_api(tls):
    host, port = tls.url.removeprefix("https://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", "/?Action=DescribeLoadBalancers&Version=2015-12-01")
        answer = connection.getresponse()
        assert answer.status == 400
        raise http.client.HTTPException("refused in words")
    assert tls.client().describe_account_limits()["Limits"]


def test_who_shakes_no_hand_is_hung_up_on(tls):
    host, port = tls.url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=45) as connection:
        assert connection.recv(1) == b""


def test_a_new_certificate_is_taken_up(tls):
    assert common_name(tls) == "first"
    certify(tls, "second")
    tls.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while True:
        try:
            if common_name(tls) == "second":
                break
        except ssl.SSLError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_certificate_that_is_none_is_not(tls):
    (tls.dir / "other.pem").write_bytes((tls.dir / "api.pem").read_bytes())
    tls.ca = str(tls.dir / "other.pem")
    (tls.dir / "api.pem").write_text("nonsense")
    tls.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert tls.is_alive() and common_name(tls) == "first"


@pytest.mark.parametrize("spoil", ["no file", "no certificate", "another key"])
def test_what_is_refused_at_the_start(spoil):
    server = Server(more=API)
    try:
        certify(server, "first")
        if spoil == "no file":
            (server.dir / "api.key").unlink()
        elif spoil == "no certificate":
            (server.dir / "api.pem").write_text("nonsense")
        else:
            pem = (server.dir / "api.pem").read_bytes()
            certify(server, "second")
            (server.dir / "api.pem").write_bytes(pem)
        with pytest.raises(AssertionError) as error:
            server.start()
        assert "ended with" in str(error.value) and "api." in str(error.value)
    finally:
        server.close()


def test_a_key_that_others_may_read_is_served_and_told():
    server = Server(more=API)
    try:
        certify(server, "first")
        (server.dir / "api.key").chmod(0o644)
        server.start()
        assert "api.key has secrets in it" in (server.dir / "log").read_text()
    finally:
        server.close()
