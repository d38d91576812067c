"""Requests that are too large, and clients that are too slow."""

import socket
import threading
import time

from wire import VERSION, encoded

LIMIT = 1 << 20


def filled(size):
    """A form of so many bytes."""
    body = f"Action=DescribeLoadBalancers&Version={VERSION}&Marker=".encode()
    return body + b"a" * (size - len(body))


def test_a_body_over_one_mebibyte_is_refused(caller, elb):
    answer = caller.send(filled(LIMIT + 1))
    assert answer.status == 413, answer
    assert answer.code == "RequestEntityTooLarge"
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_one_of_a_mebibyte_is_read(caller):
    """It is refused for what it says, not for its size."""
    answer = caller.send(filled(LIMIT))
    assert answer.status == 400, answer
    assert answer.code != "RequestEntityTooLarge"


def test_one_that_only_claims_to_be_large_is_not_waited_for(caller):
    with socket.create_connection((caller.host, caller.port), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert b" 413 " in connection.recv(1024)


def test_a_long_chunked_body(caller, elb):
    with socket.create_connection((caller.host, caller.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(64):
                connection.sendall(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = connection.recv(1024)
            assert answer == b"" or b" 413 " in answer or b" 40" in answer, answer
        except ConnectionResetError:
            pass
    assert elb.describe_account_limits()["Limits"]


def test_a_long_query(caller):
    answer = caller.send(method="GET", query=b"Action=DescribeLoadBalancers&Marker=" + b"a" * (2 * LIMIT))
    assert answer.status in (400, 413, 414, 431)


def test_slow_clients_are_hung_up_on(caller, elb):
    """One that never ends its head, and one that never ends its body."""
    heads = [b"POST / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nAction="]
    ended = {}

    def talk(n, head):
        began = time.monotonic()
        with socket.create_connection((caller.host, caller.port), timeout=60) as connection:
            try:
                connection.sendall(head)
                connection.settimeout(1)
                while time.monotonic() - began < 60:
                    try:
                        # One byte now and then keeps nothing open.
                        connection.sendall(b"a")
                        if not connection.recv(4096):
                            break
                    except socket.timeout:
                        continue
            except (BrokenPipeError, ConnectionResetError):
                pass
            ended[n] = time.monotonic() - began

    talkers = [threading.Thread(target=talk, args=it) for it in enumerate(heads)]
    for talker in talkers:
        talker.start()
    # Others are served meanwhile.
    for _ in range(10):
        began = time.monotonic()
        assert elb.describe_account_limits()["Limits"]
        assert time.monotonic() - began < 2
    for talker in talkers:
        talker.join()
    assert all(seconds < 45 for seconds in ended.values()), ended


def test_many_idle_connections(caller, elb):
    idle = [socket.create_connection((caller.host, caller.port), timeout=5) for _ in range(200)]
    try:
        assert elb.describe_account_limits()["Limits"]
    finally:
        for connection in idle:
            connection.close()


def test_many_at_once(server, caller):
    """Calls of 16 clients do not get into each other's way."""
    failures = []

    def work(n):
        for _ in range(25):
            answer = caller.send(encoded({"Action": "DescribeAccountLimits", "Version": VERSION}))
            if answer.status != 200:
                failures.append(answer)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures[:3]


def test_creating_the_same_thing_at_once_makes_it_once(server):
    arns, threads = [], []

    def create():
        made = server.client().create_target_group(Name="race", Protocol="TCP", Port=80, VpcId="vpc-2")
        arns.append(made["TargetGroups"][0]["TargetGroupArn"])

    for _ in range(8):
        threads.append(threading.Thread(target=create))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(arns) == 8 and len(set(arns)) == 1
