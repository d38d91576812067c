"""What node.toml says in these tests: where the node is, what is around it, who may call.

The names with EXAMPLE, and the instances and the elastic address beside them, are those of the guide's tutorials.
"""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

REGION = "us-east-2"
ACCOUNT = "123456789012"
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
USER = "Alice"
OTHER_KEY = "AKIAI44QH8DHBEXAMPLE"
OTHER_SECRET = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"

VPC = "vpc-0598c7d356EXAMPLE"
OTHER_VPC = "vpc-2"

# One subnet a zone, with IPv6 addresses: what most tests take.
SUBNET_A, SUBNET_B, SUBNET_C = "subnet-0e3f5cac72EXAMPLE", "subnet-b", "subnet-c"
ZONE_A, ZONE_B, ZONE_C, ZONE_D = (REGION + letter for letter in "abcd")
# Another one of zone a; one without IPv6 addresses; one with 7 addresses left; one with 8; one of another VPC.
SUBNET_A2, SUBNET_V4, SUBNET_FULL, SUBNET_TIGHT, SUBNET_OTHER = (
    "subnet-a2",
    "subnet-v4",
    "subnet-full",
    "subnet-tight",
    "subnet-other",
)

SUBNETS = [
    # id, VPC, zone, addresses, IPv6 addresses
    (SUBNET_A, VPC, ZONE_A, "198.18.0.0/24", "2001:db8:1::/64"),
    (SUBNET_A2, VPC, ZONE_A, "198.18.1.0/24", None),
    (SUBNET_B, VPC, ZONE_B, "198.18.2.0/24", "2001:db8:2::/64"),
    (SUBNET_C, VPC, ZONE_C, "198.18.3.0/24", "2001:db8:3::/64"),
    (SUBNET_V4, VPC, ZONE_D, "198.18.4.0/24", None),
    (SUBNET_FULL, VPC, ZONE_D, "198.18.5.0/28", None),
    (SUBNET_TIGHT, VPC, ZONE_D, "198.18.5.16/28", None),
    (SUBNET_OTHER, OTHER_VPC, ZONE_B, "198.18.9.0/24", "2001:db8:9::/64"),
]

I1, I2, I3, I_C = "i-1234567890abcdef0", "i-0abcdef1234567890", "i-0000000000000000a", "i-0000000000000000c"
I_STOPPED, I_TERMINATED, I_OTHER = "i-00000000000000051", "i-00000000000000052", "i-00000000000000009"
I_PENDING, I_STOPPING, I_SHUTTING = "i-00000000000000053", "i-00000000000000054", "i-00000000000000055"
I_D = "i-0000000000000000d"

INSTANCES = [
    # id, subnet, address, state
    (I1, SUBNET_A, "198.18.0.21", "running"),
    (I2, SUBNET_B, "198.18.2.21", "running"),
    (I3, SUBNET_A, "198.18.0.22", "running"),
    (I_C, SUBNET_C, "198.18.3.21", "running"),
    (I_D, SUBNET_V4, "198.18.4.21", "running"),
    (I_STOPPED, SUBNET_A, "198.18.0.31", "stopped"),
    (I_TERMINATED, SUBNET_A, "198.18.0.32", "terminated"),
    (I_PENDING, SUBNET_A, "198.18.0.33", "pending"),
    (I_STOPPING, SUBNET_A, "198.18.0.34", "stopping"),
    (I_SHUTTING, SUBNET_A, "198.18.0.35", "shutting-down"),
    (I_OTHER, SUBNET_OTHER, "198.18.9.21", "running"),
    # A /28 has 16 addresses, 5 of which belong to the subnet itself.
    *((f"i-0000000000000f00{n}", SUBNET_FULL, f"198.18.5.{4 + n}", "running") for n in range(4)),
    *((f"i-0000000000000e00{n}", SUBNET_TIGHT, f"198.18.5.{20 + n}", "running") for n in range(3)),
]

EIP, EIP_B, EIP_C, EIP_D = "eipalloc-12345678", "eipalloc-b", "eipalloc-c", "eipalloc-d"
ELASTIC_IPS = [(EIP, "203.0.113.7"), (EIP_B, "203.0.113.8"), (EIP_C, "203.0.113.9"), (EIP_D, "203.0.113.10")]

SG, SG_2, SG_OTHER = "sg-5943793c", "sg-2", "sg-other"
SECURITY_GROUPS = [(SG, VPC), (SG_2, VPC), (SG_OTHER, OTHER_VPC)]


def certificate_arn(name):
    """The ARN of a certificate of the inventory."""
    return f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{name}"


CERTIFICATES = [f"rsa-{n}" for n in range(30)]
CERT, CERT_2, CERT_3 = (certificate_arn(name) for name in CERTIFICATES[:3])
CERT_RSA_1024, CERT_RSA_3072, CERT_RSA_4096 = (certificate_arn(f"rsa{bits}") for bits in (1024, 3072, 4096))
CERT_EC_256, CERT_EC_384 = (certificate_arn(f"ec{bits}") for bits in (256, 384))
CERT_IAM = f"arn:aws:iam::{ACCOUNT}:server-certificate/my-cert"


PREFIX = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
# Names of things that are nowhere.
NO_BALANCER = f"{PREFIX}:loadbalancer/net/none/0123456789abcdef"
NO_GROUP = f"{PREFIX}:targetgroup/none/0123456789abcdef"
NO_LISTENER = f"{PREFIX}:listener/net/none/0123456789abcdef/0123456789abcdef"
NO_RULE = f"{PREFIX}:listener-rule/net/none/0123456789abcdef/0123456789abcdef/0123456789abcdef"


def alb_arn(name):
    """The ARN of an Application Load Balancer of the inventory."""
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/{name}/0123456789abcdef"


ALB, ALB_2, ALB_OTHER = alb_arn("alb-1"), alb_arn("alb-2"), alb_arn("alb-other")
ALBS = [
    (ALB, SUBNET_A, "198.18.0.41", [80, 443]),
    (ALB_2, SUBNET_B, "198.18.2.41", [80]),
    (ALB_OTHER, SUBNET_OTHER, "198.18.9.41", [80]),
]

KINDS = {
    "rsa": ["rsa:2048"],
    "rsa1024": ["rsa:1024"],
    "rsa3072": ["rsa:3072"],
    "rsa4096": ["rsa:4096"],
    "ec256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ec384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
}


@functools.cache
def key_pairs():
    """A directory with a certificate and a key of every kind, made once: new keys take seconds."""
    directory = tempfile.TemporaryDirectory(prefix=f"nlb-{os.getpid()}-keys-")
    for name, kind in KINDS.items():
        base = os.path.join(directory.name, name)
        command = ["openssl", "req", "-x509", "-nodes", "-days", "365", "-subj", f"/CN={name}.example.com"]
        command += ["-newkey", *kind, "-keyout", base + ".key", "-out", base + ".pem"]
        subprocess.run(command, check=True, capture_output=True)
    return directory


def toml(key, value):
    """One line of TOML."""
    if isinstance(value, bool):
        return f"{key} = {str(value).lower()}\n"
    if isinstance(value, (int, list)):
        return f"{key} = {value}\n"
    return f'{key} = "{value}"\n'


def table(name, values):
    """A table or an entry of an array of tables; what is None is left out."""
    return f"\n{name}\n" + "".join(toml(key, value) for key, value in values.items() if value is not None)


# Room for every test of a module; test_limits.py has the defaults.
ROOMY = {"load_balancers": 1000, "target_groups": 4000, "targets_per_zone_per_load_balancer": 3000}


def write(directory, quotas=ROOMY, audit=None, more="", **settings):
    """Writes node.toml and what it names into a directory. `more` is TOML that goes to the end."""
    directory = Path(directory)
    keys = Path(key_pairs().name)
    for name, secret in (("first", SECRET), ("second", OTHER_SECRET)):
        path = directory / name
        path.write_text(secret + "\n")
        path.chmod(0o600)
    node = {"region": REGION, "account_id": ACCOUNT, "zone": ZONE_A, "socket": directory / "nlb.sock"}
    text = "".join(toml(key, value) for key, value in {**node, **settings}.items())
    text += table("[quotas]", quotas) if quotas else ""
    text += table("[audit]", {"file": directory / "audit.log", **(audit or {})})
    text += table("[[access_key]]", {"id": KEY, "secret_file": "first", "user_name": USER})
    text += table("[[access_key]]", {"id": OTHER_KEY, "secret_file": "second"})
    for id, vpc, zone, cidr, ipv6 in SUBNETS:
        text += table("[[subnet]]", {"id": id, "vpc": vpc, "zone": zone, "cidr": cidr, "ipv6_cidr": ipv6})
    for id, subnet, address, state in INSTANCES:
        text += table("[[instance]]", {"id": id, "subnet": subnet, "address": address, "state": state})
    for id, address in ELASTIC_IPS:
        text += table("[[elastic_ip]]", {"allocation_id": id, "address": address})
    for id, vpc in SECURITY_GROUPS:
        text += table("[[security_group]]", {"id": id, "vpc": vpc})
    certificates = {certificate_arn(name): "rsa" for name in CERTIFICATES}
    certificates |= {certificate_arn(kind): kind for kind in KINDS if kind != "rsa"} | {CERT_IAM: "rsa"}
    for arn, kind in certificates.items():
        files = {"certificate_file": keys / f"{kind}.pem", "key_file": keys / f"{kind}.key"}
        text += table("[[certificate]]", {"arn": arn, **files})
    for arn, subnet, address, ports in ALBS:
        text += table(
            "[[application_load_balancer]]", {"arn": arn, "subnet": subnet, "address": address, "ports": ports}
        )
    path = directory / "node.toml"
    path.write_text(text + more)
    path.chmod(0o600)
    return path
