"""Random and mutated requests: no 500, no crash, and nothing changes that should not."""

import http.client
import random
import socket
import string
import urllib.parse

from inventory import CERT, CERT_2, I1, I2, NO_BALANCER, SG, SUBNET_A, SUBNET_B, VPC
from wire import VERSION, encoded

EDGES = [
    "", " ", "0", "-1", "1", "65535", "65536", "4294967296", "9223372036854775808", "1e9", "NaN", "true", "null", "[]", "{}", "\x00",
    "ÿ", "日本", "a" * 300, "../../etc/passwd", "' OR '1'='1", "<x>&amp;</x>", "%00", "arn:", "arn:aws:elasticloadbalancing:::", "::",
    "0.0.0.0", "255.255.255.255", "fe80::1%eth0", "traffic-port", "TCP", "network", "off", "\U0010ffff", "\r\nX: y", NO_BALANCER,
]


# What a member of this name may well be, so that forms get past the first checks. ARNs of real things are added.
LIKELY = {
    "Name": ["f1", "f2", "f3", "a" * 32],
    "Names": ["f1", "f2"],
    "Type": ["forward", "network"],
    "Protocol": ["TCP", "UDP", "TCP_UDP", "TLS"],
    "HealthCheckProtocol": ["TCP", "HTTP", "HTTPS"],
    "HealthCheckPort": ["traffic-port", "80"],
    "HealthCheckPath": ["/", "/x"],
    "VpcId": [VPC],
    "Subnets": [SUBNET_A, SUBNET_B],
    "SubnetId": [SUBNET_A, SUBNET_B],
    "SecurityGroups": [SG],
    "Scheme": ["internal", "internet-facing"],
    "IpAddressType": ["ipv4", "dualstack"],
    "TargetType": ["instance", "ip"],
    "Id": [I1, I2, "10.0.0.1", "198.18.0.77"],
    "HttpCode": ["200", "200-399"],
    "SslPolicy": ["ELBSecurityPolicy-2016-08"],
    "CertificateArn": [CERT, CERT_2],
    "AlpnPolicy": ["HTTP2Only", "None"],
    "Value": ["true", "false", "off", "1", "50", "300", "v"],
    "TagKeys": ["a", "b"],
    "Key": ["a", "b", "deletion_protection.enabled", "load_balancing.cross_zone.enabled", "stickiness.enabled",
            "deregistration_delay.timeout_seconds", "tcp.idle_timeout.seconds", "preserve_client_ip.enabled"],
}  # fmt: skip


def shapes(model, arns):
    """For every operation, a function that makes a plausible form of it. `arns` are of real things, by member name."""
    likely = LIKELY | arns

    def value(chance, shape, name, form, depth=0):
        kind = shape.type_name
        if kind == "structure":
            for member, of in shape.members.items():
                if depth < 4 and (member in shape.required_members or chance.random() < (0.9 if member in USUAL else 0.1)):
                    value(chance, of, f"{name}.{member}" if name else member, form, depth + 1)
        elif kind == "list":
            for n in range(1, chance.choice((1, 1, 2, 5)) + 1):
                value(chance, shape.member, f"{name}.member.{n}", form, depth + 1)
        elif (known := likely.get(name.split(".member.")[0].rsplit(".", 1)[-1])) and kind == "string" and chance.random() < 0.95:
            form.append((name, chance.choice(known)))
        elif (known := likely.get(name.rsplit(".", 1)[-1])) and kind == "string" and chance.random() < 0.95:
            form.append((name, chance.choice(known)))
        elif kind == "boolean":
            form.append((name, chance.choice(("true", "false"))))
        elif kind in ("integer", "long"):
            form.append((name, str(chance.choice((0, 1, 2, 5, 5, 10, 80, 80, 400, 65535, 65536)))))
        elif getattr(shape, "enum", None):
            form.append((name, chance.choice(shape.enum)))
        else:
            form.append((name, chance.choice(("a", "web", VPC, SUBNET_A, I1, NO_BALANCER, "10.0.0.1", *EDGES))))

    def make(operation):
        of = model.operation_model(operation).input_shape

        def form(chance):
            pairs = [("Action", operation), ("Version", VERSION)]
            if of:
                value(chance, of, "", pairs)
            return pairs

        return form

    return {operation: make(operation) for operation in model.operation_names}


def weight(operation):
    """More is made than deleted, and operations of other kinds of load balancers are soon done with."""
    if operation.startswith("Delete"):
        return 1
    if any(word in operation for word in ("TrustStore", "Capacity", "IpPools", "ResourcePolicy", "Rule")):
        return 0.3
    return 8 if operation.startswith(("Create", "Register")) else 3


# Members that a form has nearly always.
USUAL = {"Name", "Protocol", "Port", "VpcId", "Subnets", "TargetGroupArn", "LoadBalancerArn", "ListenerArn", "Id", "Key", "Value"}


def mutated(chance, form):
    """A form with a few things wrong."""
    form = list(form)
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        at = chance.randrange(len(form))
        name, value = form[at]
        match chance.randrange(8):
            case 0:
                form[at] = (name, chance.choice(EDGES))
            case 1:
                form[at] = (name + chance.choice((".member.1", ".", "..", ".member.0", ".member.99999", ".X", "\x00")), value)
            case 2:
                form.append(form[at])
            case 3:
                del form[at]
                form = form or [("", "")]
            case 4:
                form[at] = ("".join(chance.sample(name, len(name))), value)
            case 5:
                form[at] = (name, "".join(chance.choices(string.printable, k=chance.randrange(200))))
            case 6:
                form.append(("".join(chance.choices(string.ascii_letters + ".%&=", k=12)), chance.choice(EDGES)))
            case 7:
                form[at] = (name, value * chance.choice((2, 100, 5000)))
    return form


def spoiled(chance, body):
    """Bytes that are no form any more."""
    body = bytearray(body or b"x")
    for _ in range(chance.choice((1, 3, 10))):
        match chance.randrange(3):
            case 0:
                body[chance.randrange(len(body))] = chance.randrange(256)
            case 1:
                body.insert(chance.randrange(len(body)), chance.randrange(256))
            case 2:
                del body[chance.randrange(len(body))]
                body = body or bytearray(b"&")
    return bytes(body)


class Line:
    """A connection that is opened again when the server has closed it."""

    def __init__(self, caller):
        self.caller, self.connection = caller, None

    def send(self, body, headers):
        for _ in range(2):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.caller.host, self.caller.port, timeout=30)
                self.connection.putrequest("POST", "/", skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    self.connection.putheader(name, value)
                self.connection.putheader("content-length", str(len(body)))
                self.connection.endheaders(body)
                response = self.connection.getresponse()
                return response.status, response.read()
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
        raise AssertionError(f"no answer to {body[:300]!r}")


def real_arns(elb):
    """ARNs of what there is now, by the names of members that want them."""
    found = {
        "LoadBalancerArn": [it["LoadBalancerArn"] for it in elb.describe_load_balancers()["LoadBalancers"]],
        "TargetGroupArn": [it["TargetGroupArn"] for it in elb.describe_target_groups()["TargetGroups"]],
        "ListenerArn": [],
    }
    for arn in found["LoadBalancerArn"]:
        found["ListenerArn"] += [it["ListenerArn"] for it in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]]
    found["ResourceArns"] = sum(found.values(), [])
    found |= {name.replace("Arn", "Arns"): arns for name, arns in found.items() if name.endswith("Arn")}
    return {name: arns for name, arns in found.items() if arns}


def test_random_and_mutated_forms(server, elb, caller, long, figures):
    """Signed, so that they reach the operations."""
    rounds = 100_000 if long else 5_000
    seed = random.randrange(2**32)
    chance, line = random.Random(seed), Line(caller)
    codes, forms = {}, None
    how = caller.settings | {"headers": {}}
    for n in range(rounds):
        if n % 250 == 0:
            forms = shapes(elb.meta.service_model, real_arns(elb))
        (operation,) = chance.choices(list(forms), map(weight, forms))
        form = forms[operation](chance)
        # What is larger is not read to its end, see test_size_and_time.py.
        body = encoded(mutated(chance, form))[: 1 << 20]
        if chance.random() < 0.15:
            body = spoiled(chance, body)
        status, text = line.send(body, caller.headers(body, how))
        assert status < 500, f"seed {seed}, request {n}: {body[:2000]!r} was answered with {status} {text[:500]!r}"
        assert text.startswith(b"<"), f"seed {seed}, request {n}: {body[:2000]!r} was answered with {text[:200]!r}"
        codes[status] = codes.get(status, 0) + 1
    assert server.is_alive()
    # What was made on the way is whole: everything can be told, changed and deleted.
    for it in elb.describe_load_balancers()["LoadBalancers"]:
        elb.describe_listeners(LoadBalancerArn=it["LoadBalancerArn"])
    for page in elb.get_paginator("describe_target_groups").paginate():
        for it in page["TargetGroups"]:
            elb.describe_target_health(TargetGroupArn=it["TargetGroupArn"])
    figures(f"{rounds} random and mutated requests: statuses {dict(sorted(codes.items()))}")


def test_nothing_that_is_refused_changes_anything(elb, make, caller, long):
    """The state is the same before and after requests that are all answered with an error."""
    group = make.group(Tags=[{"Key": "a"}])
    balancer = make.balancer()
    make.listener(balancer["LoadBalancerArn"], group["TargetGroupArn"])
    make.wait(balancer["LoadBalancerArn"], "active")

    def picture():
        told = [elb.describe_load_balancers()["LoadBalancers"], elb.describe_target_groups()["TargetGroups"]]
        arns = [group["TargetGroupArn"], balancer["LoadBalancerArn"]]
        told += [make.attributes(arn) for arn in arns] + elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
        return told + elb.describe_listeners(LoadBalancerArn=arns[1])["Listeners"]

    before, seed = picture(), random.randrange(2**32)
    chance, line = random.Random(seed), Line(caller)
    real = [group["TargetGroupArn"], balancer["LoadBalancerArn"]]
    changing = [operation for operation in elb.meta.service_model.operation_names if not operation.startswith(("Describe", "Get"))]
    forms = shapes(elb.meta.service_model, real_arns(elb))
    how = caller.settings | {"headers": {}}
    for _ in range(20_000 if long else 1_500):
        form = mutated(chance, forms[chance.choice(changing)](chance))
        # Of real resources, and with one thing that is certainly wrong.
        form = [(name, chance.choice(real) if "arn:" in value else value) for name, value in form]
        form.append(chance.choice((("NoSuchParameter", "1"), ("Tags.member.x", "1"), ("Version", "1999-01-01"))))
        body = encoded(form)
        if len(body) > 1 << 20:
            continue
        status, text = line.send(body, caller.headers(body, how))
        assert 400 <= status < 500, f"seed {seed}: {form} was answered with {status} {text!r}"
    assert picture() == before


def test_unsigned_noise(server, elb, caller, long):
    """What does not know a key gets nowhere."""
    chance, line = random.Random(1), Line(caller)
    for _ in range(20_000 if long else 1_000):
        body = bytes(chance.randrange(256) for _ in range(chance.choice((0, 10, 200))))
        headers = {"host": "x", "content-type": "application/x-www-form-urlencoded"}
        status, _ = line.send(body, headers)
        assert 400 <= status < 500
    assert elb.describe_account_limits()["Limits"]


def test_noise_instead_of_http(server, elb, caller, long):
    chance = random.Random(2)
    for _ in range(2_000 if long else 200):
        with socket.create_connection((caller.host, caller.port), timeout=5) as connection:
            connection.sendall(bytes(chance.randrange(256) for _ in range(chance.choice((1, 50, 2000)))))
    assert elb.describe_account_limits()["Limits"]


def test_names_in_percent_signs(caller):
    """Every byte in a name and in a value."""
    for byte in range(256):
        body = f"Action=DescribeTargetGroups&Version={VERSION}&Names.member.1=a%{byte:02x}b".encode()
        answer = caller.send(body)
        assert answer.status in (200, 400, 404), (byte, answer)
        body = f"Action=DescribeTargetGroups&Version={VERSION}&Na%{byte:02x}mes=a".encode()
        assert caller.send(body).status in (400, 404), byte


def test_deep_and_wide_parameters(caller):
    deep = f"Action=CreateListener&Version={VERSION}&" + ".".join(["DefaultActions.member.1"] * 500) + "=x"
    assert 400 <= caller.send(deep.encode()).status < 500
    wide = f"Action=DescribeTargetGroups&Version={VERSION}&" + "&".join(f"Names.member.{n}=a" for n in range(1, 30_000))
    assert 400 <= caller.send(wide.encode()).status < 500
    sparse = f"Action=DescribeTargetGroups&Version={VERSION}&Names.member.2000000000=" + urllib.parse.quote("x")
    assert 400 <= caller.send(sparse.encode()).status < 500
