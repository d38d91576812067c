//! The inventory as commands change it.

use super::*;
use crate::{
    model::Protocol,
    ops::testing::{self, World},
};
use serde_json::json;

fn subnet(id: &str, cidr: &str) -> Value {
    json!({"id": id, "vpc": "vpc-9", "zone": "us-east-1a", "cidr": cidr})
}

/// As the controller does: what commands have added is part of what the next call sees.
fn run(world: &mut World, operation: &str, input: Value) -> Result<Value, Fault> {
    let file = world.inventory.clone();
    world.inventory = file.with(&world.state.inventory);
    let outcome = world.run(operation, input);
    world.inventory = file;
    outcome
}

#[test]
fn the_test_world_is_valid() {
    assert_eq!(validate(&World::new().inventory), [] as [&str; 0]);
}

#[test]
fn what_commands_add_is_listed_changed_and_deleted() {
    let mut world = World::new();
    let item = |cidr| json!({"Kind": "subnet", "Item": subnet("subnet-9", cidr)});
    run(&mut world, "CreateInventory", item("10.99.0.0/24")).unwrap();
    let twice = run(&mut world, "CreateInventory", item("10.99.1.0/24")).unwrap_err();
    assert_eq!(twice.code, Code::ResourceInUse);
    let change = json!({"Kind": "subnet", "Id": "subnet-9", "Item": {"interface": "eth9"}});
    let changed = run(&mut world, "ModifyInventory", change).unwrap();
    assert_eq!((&changed["Item"]["interface"], &changed["Item"]["cidr"]), (&json!("eth9"), &json!("10.99.0.0/24")));
    let listed = run(&mut world, "ListInventory", json!({"Kind": "subnet"})).unwrap();
    let source = |id: &str| {
        let mut items = listed["Items"].as_array().unwrap().iter();
        items.find(|it| it["Item"]["id"] == id).unwrap()["Source"].clone()
    };
    assert_eq!((source("subnet-9"), source("subnet-a")), (json!("store"), json!("node.toml")));
    run(&mut world, "DeleteInventory", json!({"Kind": "subnet", "Id": "subnet-9"})).unwrap();
    let gone = run(&mut world, "DeleteInventory", json!({"Kind": "subnet", "Id": "subnet-9"})).unwrap_err();
    assert_eq!(gone.code, Code::ResourceNotFound);
    assert_eq!(world.state, State::default());
}

#[test]
fn what_stands_in_node_toml_stays_there() {
    let mut world = World::new();
    let refused = run(&mut world, "DeleteInventory", json!({"Kind": "instance", "Id": "i-a1"})).unwrap_err();
    assert_eq!(refused.code, Code::OperationNotPermitted);
    assert!(refused.message.contains("node.toml"), "{refused}");
}

#[test]
fn refusals() {
    let mut world = World::new();
    let mut refused = |kind: &str, item: Value| {
        run(&mut world, "CreateInventory", json!({"Kind": kind, "Item": item})).unwrap_err().message
    };
    assert!(refused("planet", json!({})).contains("allowed are subnet, instance"));
    assert!(refused("subnet", subnet("s", "10.99.0.1/24")).contains("write 10.99.0.0/24"));
    assert!(refused("subnet", subnet("s", "10.99.0.0/30")).contains("8 to 29"));
    assert!(refused("subnet", subnet("s", "nonsense")).starts_with("subnet: "));
    assert!(refused("subnet", subnet("a b", "10.99.0.0/24")).contains("is no id"));
    let overlapping = json!({"id": "s", "vpc": "vpc-1", "zone": "us-east-1a", "cidr": "10.0.0.0/16"});
    assert!(refused("subnet", overlapping).contains("overlap"));
    let instance = |subnet: &str, address: &str| json!({"id": "i-9", "subnet": subnet, "address": address});
    assert!(refused("instance", instance("subnet-none", "10.0.1.99")).contains("no subnet"));
    assert!(refused("instance", instance("subnet-a", "10.0.2.99")).contains("not in subnet"));
    assert!(refused("instance", instance("subnet-a", "10.0.1.21")).contains("both have"));
    assert!(refused("elastic-ip", json!({"allocation_id": "e", "address": "203.0.113.1"})).contains("both have"));
}

#[test]
fn what_is_used_stays() {
    let mut world = World::new();
    let create = |world: &mut World, kind: &str, item: Value| {
        run(world, "CreateInventory", json!({"Kind": kind, "Item": item})).unwrap();
    };
    let delete = |world: &mut World, kind: &str, id: &str| {
        run(world, "DeleteInventory", json!({"Kind": kind, "Id": id})).map_err(|fault| fault.code)
    };
    let in_use = Err(Code::ResourceInUse);
    create(&mut world, "subnet", subnet("subnet-9", "10.99.0.0/24"));
    create(&mut world, "instance", json!({"id": "i-9", "subnet": "subnet-9", "address": "10.99.0.21"}));
    assert_eq!(delete(&mut world, "subnet", "subnet-9"), in_use, "an instance is in it");
    delete(&mut world, "instance", "i-9").unwrap();
    create(&mut world, "elastic-ip", json!({"allocation_id": "eipalloc-9", "address": "203.0.113.9"}));
    create(&mut world, "security-group", json!({"id": "sg-9", "vpc": "vpc-9"}));
    let mappings = json!([{"SubnetId": "subnet-9", "AllocationId": "eipalloc-9"}]);
    let balancer = json!({"Name": "web", "SubnetMappings": mappings, "SecurityGroups": ["sg-9"]});
    run(&mut world, "CreateLoadBalancer", balancer).unwrap();
    assert_eq!(delete(&mut world, "subnet", "subnet-9"), in_use);
    assert_eq!(delete(&mut world, "elastic-ip", "eipalloc-9"), in_use);
    assert_eq!(delete(&mut world, "security-group", "sg-9"), in_use);

    let modify = |world: &mut World, kind: &str, id: &str, item: Value| {
        run(world, "ModifyInventory", json!({"Kind": kind, "Id": id, "Item": item})).map_err(|fault| fault.code)
    };
    for change in [json!({"cidr": "10.98.0.0/24"}), json!({"vpc": "vpc-8"}), json!({"zone": "us-east-1b"})] {
        assert_eq!(modify(&mut world, "subnet", "subnet-9", change.clone()), in_use, "{change}");
    }
    assert_eq!(modify(&mut world, "elastic-ip", "eipalloc-9", json!({"address": "203.0.113.10"})), in_use);
    modify(&mut world, "subnet", "subnet-9", json!({"interface": "eth9"})).unwrap();
    modify(&mut world, "subnet", "subnet-9", json!({"ipv6_cidr": "2001:db8:99::/64"})).unwrap();
    assert_eq!(modify(&mut world, "subnet", "subnet-9", json!({"ipv6_cidr": null})), in_use);
    // It may grow.
    modify(&mut world, "subnet", "subnet-9", json!({"cidr": "10.99.0.0/23"})).unwrap();
    assert_eq!(modify(&mut world, "security-group", "sg-9", json!({"vpc": "vpc-8"})), in_use);
    modify(&mut world, "security-group", "sg-9", json!({"vpc": null})).unwrap();

    let balancer = world.state.load_balancers.keys().next().unwrap().clone();
    run(&mut world, "DeleteLoadBalancer", json!({"LoadBalancerArn": balancer})).unwrap();
    modify(&mut world, "elastic-ip", "eipalloc-9", json!({"address": "203.0.113.10"})).unwrap();
    for (kind, id) in [("subnet", "subnet-9"), ("elastic-ip", "eipalloc-9"), ("security-group", "sg-9")] {
        delete(&mut world, kind, id).unwrap();
    }
    assert_eq!(world.state, State::default());
}

/// The file's counts, as in `Inventory::with`.
#[test]
fn what_node_toml_has_under_the_same_id() {
    let mut world = World::new();
    let group = |id: &str, vpc: &str| SecurityGroup { id: id.to_owned(), vpc: Some(vpc.to_owned()) };
    world.state.inventory.security_groups.insert("sg-1".to_owned(), group("sg-1", "vpc-other"));
    let listed = run(&mut world, "ListInventory", json!({"Kind": "security-group"})).unwrap();
    let first = listed["Items"].as_array().unwrap().iter().find(|it| it["Item"]["id"] == "sg-1").unwrap();
    assert_eq!((&first["Source"], &first["Item"]["vpc"]), (&json!("node.toml"), &json!("vpc-1")));
    let modify = json!({"Kind": "security-group", "Id": "sg-1", "Item": {"vpc": "vpc-2"}});
    let refused = run(&mut world, "ModifyInventory", modify).unwrap_err();
    assert_eq!(refused.code, Code::OperationNotPermitted, "{refused}");
    run(&mut world, "DeleteInventory", json!({"Kind": "security-group", "Id": "sg-1"})).unwrap();
    assert_eq!(world.state, State::default());
}

#[test]
fn paths_and_ports() {
    let mut world = World::new();
    let mut create = |kind: &str, item: Value| {
        run(&mut world, "CreateInventory", json!({"Kind": kind, "Item": item})).map_err(|fault| fault.message)
    };
    let files = |certificate: &str, key: &str| {
        json!({"arn": "arn:aws:acm:us-east-1:123456789012:certificate/99",
            "certificate_file": certificate, "key_file": key})
    };
    assert!(create("certificate", files("tls/a.pem", "/etc/a.key")).unwrap_err().contains("tls/a.pem"));
    assert!(create("certificate", files("/etc/a.pem", "a.key")).unwrap_err().contains("a.key"));
    create("certificate", files("/etc/a.pem", "/etc/a.key")).unwrap();
    let arn = testing::ALB.replace("1111111111111111", "9");
    let proxy =
        |arn: &str, ports: Value| json!({"arn": arn, "subnet": "subnet-b", "address": "10.0.2.99", "ports": ports});
    assert!(create("application-load-balancer", proxy(&arn, json!([80, 0]))).unwrap_err().contains("port 0"));
    assert!(create("application-load-balancer", proxy("web", json!([80]))).unwrap_err().contains("loadbalancer/app/"));
    create("application-load-balancer", proxy(&arn, json!([80, 443]))).unwrap();
}

/// A certificate can be renewed while it is used.
#[test]
fn certificates_and_application_load_balancers_in_use() {
    let mut world = World::new();
    let (state, arn) = (&mut world.state, "arn:aws:acm:us-east-1:123456789012:certificate/99");
    let balancer = testing::load_balancer(state, "web");
    let group = testing::target_group(state, "web", Protocol::Tls);
    let actions = json!([{"Type": "forward", "TargetGroupArn": group}]);
    let listener = json!({"LoadBalancerArn": balancer, "Protocol": "TLS", "Port": 443, "DefaultActions": actions,
        "Certificates": [{"CertificateArn": testing::certificate(1)}]});
    let listener = run(&mut world, "CreateListener", listener).unwrap()["Listeners"][0]["ListenerArn"].clone();
    let certificate = json!({"arn": arn, "certificate_file": "/etc/a.pem", "key_file": "/etc/a.key"});
    run(&mut world, "CreateInventory", json!({"Kind": "certificate", "Item": certificate})).unwrap();
    let list = json!({"ListenerArn": listener, "Certificates": [{"CertificateArn": arn}]});
    run(&mut world, "AddListenerCertificates", list.clone()).unwrap();
    let delete = json!({"Kind": "certificate", "Id": arn});
    assert_eq!(run(&mut world, "DeleteInventory", delete.clone()).unwrap_err().code, Code::ResourceInUse);
    let renewed = json!({"Kind": "certificate", "Id": arn, "Item": {"certificate_file": "/etc/b.pem"}});
    run(&mut world, "ModifyInventory", renewed).unwrap();
    run(&mut world, "RemoveListenerCertificates", list).unwrap();
    run(&mut world, "DeleteInventory", delete).unwrap();

    let arn = testing::ALB.replace("1111111111111111", "9");
    let proxy = json!({"arn": arn, "subnet": "subnet-b", "address": "10.0.2.99", "ports": [80]});
    run(&mut world, "CreateInventory", json!({"Kind": "application-load-balancer", "Item": proxy})).unwrap();
    let group = json!({"Name": "alb", "Protocol": "TCP", "Port": 80, "VpcId": "vpc-1", "TargetType": "alb"});
    let group = run(&mut world, "CreateTargetGroup", group).unwrap()["TargetGroups"][0]["TargetGroupArn"].clone();
    let targets = json!({"TargetGroupArn": group, "Targets": [{"Id": arn}]});
    run(&mut world, "RegisterTargets", targets.clone()).unwrap();
    let delete = json!({"Kind": "application-load-balancer", "Id": arn});
    assert_eq!(run(&mut world, "DeleteInventory", delete.clone()).unwrap_err().code, Code::ResourceInUse);
    run(&mut world, "DeregisterTargets", targets).unwrap();
    run(&mut world, "DeleteInventory", delete).unwrap();
}
