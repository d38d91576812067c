"""`nlb` commands: the same operations through the unix socket, with names in place of ARNs."""

import pytest

from inventory import CERT, CERT_2, EIP, I1, SUBNET_A, SUBNET_B, VPC, ZONE_A


@pytest.fixture
def nlb(server):
    return server.nlb


def refused(nlb, *args):
    """What a command says that is refused."""
    done = nlb(*args, check=False)
    assert done.returncode == 1, (args, done)
    assert done.stderr.startswith("nlb: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_load_balancer_from_its_creation_to_its_end(nlb, elb):
    made = nlb("load-balancer", "create", "web", "--subnet", SUBNET_A, "--subnet", f"{SUBNET_B},allocation-id={EIP}", "--tag", "a=b", "--attribute", "load_balancing.cross_zone.enabled=true", output="json")
    (told,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
    assert made["LoadBalancers"][0]["LoadBalancerArn"] == told["LoadBalancerArn"]
    assert "web" in nlb("load-balancer", "list")
    shown = nlb("load-balancer", "show", "web")
    for word in ("web", told["LoadBalancerArn"], told["DNSName"], SUBNET_B, "203.0.113.7", EIP, "cross_zone.enabled = true", "a = b"):
        assert word in shown, shown
    assert all(len(line) <= 130 for line in shown.splitlines())
    assert nlb("load-balancer", "show", told["LoadBalancerArn"], output="json")["LoadBalancers"][0]["LoadBalancerName"] == "web"
    nlb("load-balancer", "modify", "web", "--attribute", "deletion_protection.enabled=true")
    assert "OperationNotPermitted" in refused(nlb, "load-balancer", "delete", "web")
    nlb("load-balancer", "modify", "web", "--attribute", "deletion_protection.enabled=false", "--ip-address-type", "dualstack")
    assert elb.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["IpAddressType"] == "dualstack"
    nlb("load-balancer", "delete", "web")
    assert "LoadBalancerNotFound" in refused(nlb, "load-balancer", "show", "web")
    assert "LoadBalancerNotFound" in refused(nlb, "load-balancer", "delete", "web")


def test_groups_targets_and_listeners(nlb, elb):
    nlb("load-balancer", "create", "front", "--subnet", SUBNET_A)
    nlb("target-group", "create", "app", "--protocol", "tcp", "--port", "80", "--vpc", VPC, "--health-check-protocol", "HTTP", "--matcher", "200,204")
    nlb("target-group", "modify", "app", "--health-check-interval", "10", "--attribute", "proxy_protocol_v2.enabled=true")
    assert "+ target app" in nlb("target", "register", "app", I1, f"{I1}:8080")
    assert "app" in nlb("listener", "create", "front", "TCP:80", "app")
    health = nlb("target", "health", "app")
    assert f"{I1}:8080" in health and "initial" in health and "Elb.InitialHealthChecking" in health
    assert "Target.NotRegistered" in nlb("target", "health", "app", f"{I1}:9999")
    shown = nlb("target-group", "show", "app")
    for word in ("200,204", "10 s", "front", "proxy_protocol_v2.enabled = true", I1):
        assert word in shown, shown
    assert "front/TCP:80" in nlb("listener", "list") and "front/TCP:80" in nlb("listener", "list", "front")
    nlb("listener", "modify", "front/TCP:80", "--listen", "TCP:81", "--attribute", "tcp.idle_timeout.seconds=60")
    assert "tcp.idle_timeout.seconds = 60" in nlb("listener", "show", "front/TCP:81")
    assert "has no listener TCP:80" in refused(nlb, "listener", "show", "front/TCP:80")
    nlb("target", "deregister", "app", f"{I1}:8080")
    assert "draining" in nlb("target", "health", "app")
    assert "ResourceInUse" in refused(nlb, "target-group", "delete", "app")
    nlb("listener", "delete", "front/TCP:81")
    nlb("target-group", "delete", "app")
    nlb("load-balancer", "delete", "front")
    assert elb.describe_target_groups()["TargetGroups"] == []


def test_certificates(nlb, make):
    balancer = make.balancer(Name="tls")["LoadBalancerArn"]
    make.group(Name="plain")
    nlb("listener", "create", "tls", "TLS:443", "plain", "--certificate", CERT, "--alpn-policy", "HTTP2Only")
    nlb("certificate", "add", "tls/TLS:443", CERT_2)
    listed = nlb("certificate", "list", "tls/TLS:443")
    assert CERT in listed and CERT_2 in listed and "yes" in listed
    nlb("certificate", "remove", "tls/TLS:443", CERT_2)
    assert CERT_2 not in nlb("certificate", "list", "tls/TLS:443")
    assert CERT_2 in nlb("certificate", "list")
    nlb("load-balancer", "delete", balancer)


def test_tags(nlb, make):
    make.group(Name="tagged")
    nlb("tag", "create", "tagged", "a=1", "b=")
    assert "a" in nlb("tag", "list", "tagged")
    nlb("tag", "delete", "target-group/tagged", "a")
    told = nlb("tag", "list", "tagged", output="json")
    assert told["TagDescriptions"][0]["Tags"] == [{"Key": "b", "Value": ""}]


def test_zonal_shifts(nlb, elb, make):
    make.balancer(Name="shifty", Subnets=[SUBNET_A, SUBNET_B])
    nlb("zonal-shift", "start", "shifty", ZONE_A, "--expires-in", "2h", "--comment", "power")
    assert "ACTIVE" in nlb("zonal-shift", "list", "shifty")
    assert "power" in nlb("load-balancer", "show", "shifty")
    refused(nlb, "zonal-shift", "start", "shifty", ZONE_A, "--expires-in", "2h")
    refused(nlb, "zonal-shift", "start", "shifty", "us-east-2b", "--expires-in", "2h")
    nlb("zonal-shift", "update", "shifty", "--expires-in", "72h")
    for wrong in ("59s", "73h", "4d", "0", "soon", "-1h"):
        refused(nlb, "zonal-shift", "update", "shifty", f"--expires-in={wrong}")
    nlb("zonal-shift", "cancel", "shifty")
    # The guide: cross-zone load balancing must be off.
    nlb("load-balancer", "modify", "shifty", "--attribute", "load_balancing.cross_zone.enabled=true")
    refused(nlb, "zonal-shift", "start", "shifty", ZONE_A, "--expires-in", "1m")
    elb.delete_load_balancer(LoadBalancerArn=elb.describe_load_balancers(Names=["shifty"])["LoadBalancers"][0]["LoadBalancerArn"])


def test_the_inventory(nlb, make, refused):
    nlb("inventory", "create", "subnet", "id=subnet-new", f"vpc={VPC}", "zone=us-east-2a", "cidr=198.18.50.0/24")
    assert "198.18.50.0/24" in nlb("inventory", "list", "subnet")
    assert SUBNET_A in nlb("inventory", "list")
    nlb("inventory", "modify", "subnet", "subnet-new", "ipv6_cidr=2001:db8:50::/64")
    assert "2001:db8:50::/64" in nlb("inventory", "show", "subnet", "subnet-new")
    arn = make.balancer(Subnets=["subnet-new"], IpAddressType="dualstack")["LoadBalancerArn"]
    done = nlb("inventory", "delete", "subnet", "subnet-new", check=False)
    assert done.returncode == 1 and "ResourceInUse" in done.stderr
    nlb("load-balancer", "delete", arn)
    nlb("inventory", "delete", "subnet", "subnet-new")
    assert "subnet-new" not in nlb("inventory", "list")
    assert nlb("inventory", "delete", "subnet", SUBNET_A, check=False).returncode == 1


def test_apply_of_an_export_changes_nothing(server, nlb, make):
    make.group(Name="exported", Tags=[{"Key": "a", "Value": "b"}], HealthCheckProtocol="HTTP")
    make.listener(make.balancer(Name="exported", SubnetMappings=[{"SubnetId": SUBNET_A, "AllocationId": EIP}])["LoadBalancerArn"])
    path = server.dir / "export.json"
    path.write_text(nlb("export"))
    assert "nothing to change" in nlb("apply", "-f", path, "--dry-run")
    assert "nothing to change" in nlb("apply", "-f", path)


@pytest.mark.parametrize(
    "args, member",
    [
        (["load-balancer", "list"], "LoadBalancers"),
        (["listener", "list"], "Listeners"),
        (["target-group", "list"], "TargetGroups"),
        (["zonal-shift", "list"], "ZonalShifts"),
        (["inventory", "list"], "Items"),
        (["certificate", "list"], "Items"),
    ],
    ids=str,
)
def test_lists_in_both_formats(nlb, args, member):
    assert isinstance(nlb(*args, output="json")[member], list)
    assert nlb(*args).endswith("\n")


def test_targets_without_a_data_plane(nlb, elb, make):
    group = make.group(Name="listed")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    assert I1 in nlb("target", "list") and I1 in nlb("target", "list", "listed")
    assert "TargetGroupNotFound" in nlb("target", "list", "none", check=False).stderr


def test_what_is_hardly_meant_is_said(nlb, server, make):
    """A TLS listener is kept, but there is no data path for it yet: command and API say so."""
    balancer, group = make.balancer(Name="warned"), make.group(Name="warned")
    done = nlb("listener", "create", "warned", "TLS:443", "warned", "--certificate", CERT, check=False)
    assert done.returncode == 0 and "warning: " in done.stderr and "TLS" in done.stderr
    params = {"LoadBalancerArn": balancer["LoadBalancerArn"], "Protocol": "TLS", "Port": 444}
    params |= {"Certificates.member.1.CertificateArn": CERT, "DefaultActions.member.1.Type": "forward"}
    answer = server.caller().call("CreateListener", params | {"DefaultActions.member.1.TargetGroupArn": group["TargetGroupArn"]})
    assert answer.status == 200 and "TLS" in answer.headers["x-nlb-warning"]


def test_a_failed_load_balancer_takes_nothing_from_others(nlb, elb, make):
    """One whose address is an instance's has failed; the instance goes on being a target."""
    group = make.group(Name="victim")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    mapping = {"SubnetId": SUBNET_A, "PrivateIPv4Address": "198.18.0.21"}
    failed = make.balancer(Scheme="internal", SubnetMappings=[mapping])["LoadBalancerArn"]
    make.wait(failed, "failed")
    listener = make.listener(group=group)
    try:
        assert make.health(group)[I1] == ("initial", "Elb.InitialHealthChecking")
        done = nlb("listener", "modify", listener["ListenerArn"], "--listen", "TCP:81", check=False)
        assert "has no IPv4 target" not in done.stderr
    finally:
        elb.delete_load_balancer(LoadBalancerArn=failed)


def test_without_a_controller(server):
    from server import Server

    other = Server()
    try:
        done = other.nlb("load-balancer", "list", check=False)
        assert done.returncode == 1 and "the controller is not running" in done.stderr
    finally:
        other.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(nlb, shell):
    assert "target-group" in nlb("completions", shell)


def test_manual_pages(server, nlb):
    nlb("man", "--dir", server.dir / "man")
    pages = {path.name for path in (server.dir / "man").iterdir()}
    assert {"nlb.1", "nlb-load-balancer.1", "nlb-target-group-create.1", "nlb-run.1"} <= pages


def test_the_socket_is_root_s_alone(server):
    assert (server.dir / "nlb.sock").stat().st_mode & 0o777 == 0o600
