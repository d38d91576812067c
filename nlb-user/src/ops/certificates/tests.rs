//! Tests of listeners' certificates.

use serde_json::{Value, json};

use crate::{
    model::{Arn, Code, Protocol},
    ops::testing::{self, World, certificate},
};

const ADD: &str = "AddListenerCertificates";
const REMOVE: &str = "RemoveListenerCertificates";
const DESCRIBE: &str = "DescribeListenerCertificates";

/// A world with a TLS listener, whose default certificate is the first.
fn world() -> (World, Arn) {
    let mut world = World::new();
    let balancer = testing::load_balancer(&mut world.state, "web");
    let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
    let arn = tls_listener(&mut world, &balancer, 443, &group);
    (world, arn)
}

fn tls_listener(world: &mut World, balancer: &Arn, port: u16, group: &Arn) -> Arn {
    let output = world.call(
        "CreateListener",
        json!({"LoadBalancerArn": balancer, "Protocol": "TLS", "Port": port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
            "Certificates": [{"CertificateArn": certificate(1)}]}),
    );
    Arn::parse(output["Listeners"][0]["ListenerArn"].as_str().unwrap()).unwrap().0
}

fn input(listener: &Arn, numbers: impl IntoIterator<Item = u32>) -> Value {
    let certificates: Vec<Value> =
        numbers.into_iter().map(|number| json!({"CertificateArn": certificate(number)})).collect();
    json!({"ListenerArn": listener, "Certificates": certificates})
}

fn told(all: &[(u32, bool)]) -> Value {
    let told = |&(number, default): &(u32, bool)| json!({"CertificateArn": certificate(number), "IsDefault": default});
    json!({"Certificates": all.iter().map(told).collect::<Vec<_>>()})
}

#[track_caller]
fn assert_all(world: &mut World, listener: &Arn, all: &[(u32, bool)]) {
    assert_eq!(world.call(DESCRIBE, json!({"ListenerArn": listener})), told(all));
}

#[test]
fn add_and_remove() {
    let (mut world, arn) = world();
    assert_all(&mut world, &arn, &[(1, true)]);
    assert_eq!(world.call(ADD, input(&arn, [3, 2, 3])), told(&[(3, false), (2, false)]));
    assert_eq!(world.call(ADD, input(&arn, [2, 4])), told(&[(3, false), (2, false), (4, false)]));
    assert_all(&mut world, &arn, &[(1, true), (3, false), (2, false), (4, false)]);
    assert_eq!(world.call(REMOVE, input(&arn, [2, 9])), json!({}));
    assert_all(&mut world, &arn, &[(1, true), (3, false), (4, false)]);
    // Removing what is not there, not even in the inventory, changes nothing.
    world.call(REMOVE, input(&arn, [41]));
    assert_all(&mut world, &arn, &[(1, true), (3, false), (4, false)]);
    let description = world.call("DescribeListeners", json!({"ListenerArns": [arn]}));
    assert_eq!(description["Listeners"][0]["Certificates"], json!([{"CertificateArn": certificate(1)}]));
}

#[test]
fn the_default_one() {
    let (mut world, arn) = world();
    world.refused(Code::OperationNotPermitted, REMOVE, input(&arn, [1]));
    world.call(ADD, input(&arn, [2]));
    world.refused(Code::OperationNotPermitted, REMOVE, input(&arn, [2, 1]));
    assert_all(&mut world, &arn, &[(1, true), (2, false)]);
    // On the list too, it stays there when another becomes the default.
    world.call(ADD, input(&arn, [1]));
    assert_all(&mut world, &arn, &[(1, true), (2, false), (1, false)]);
    world.call("ModifyListener", input(&arn, [3]));
    assert_all(&mut world, &arn, &[(3, true), (2, false), (1, false)]);
    // It can leave the list as any other.
    world.call(ADD, input(&arn, [3]));
    world.call(REMOVE, input(&arn, [3]));
    assert_all(&mut world, &arn, &[(3, true), (2, false), (1, false)]);
    world.refused(Code::OperationNotPermitted, REMOVE, input(&arn, [3]));
}

#[test]
fn pages() {
    let (mut world, arn) = world();
    world.call(ADD, input(&arn, 2..=3));
    let first = world.call(DESCRIBE, json!({"ListenerArn": arn, "PageSize": 2}));
    assert_eq!(first["Certificates"], told(&[(1, true), (2, false)])["Certificates"]);
    let rest = world.call(DESCRIBE, json!({"ListenerArn": arn, "PageSize": 2, "Marker": first["NextMarker"]}));
    assert_eq!(rest, told(&[(3, false)]));
    for members in [json!({"PageSize": 0}), json!({"PageSize": 401}), json!({"Marker": "x"})] {
        let mut input = json!({"ListenerArn": arn});
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        world.refused(Code::ValidationError, DESCRIBE, input);
    }
}

/// Those of all listeners of a load balancer count, default certificates don't.
#[test]
fn the_quota() {
    let (mut world, arn) = world();
    let listener = &world.state.listeners[&arn];
    let (balancer, group) = (listener.load_balancer.clone(), listener.target_group.clone());
    let second = tls_listener(&mut world, &balancer, 444, &group);
    world.call(ADD, input(&arn, 2..=21));
    world.call(ADD, input(&second, 2..=6));
    world.refused(Code::TooManyCertificates, ADD, input(&second, [7]));
    world.refused(Code::TooManyCertificates, ADD, input(&arn, [22]));
    world.call(REMOVE, input(&arn, [2]));
    world.call(ADD, input(&second, [7]));
    // Another listener comes with its default certificate, and another load balancer counts for itself.
    tls_listener(&mut world, &balancer, 445, &group);
    let other = testing::load_balancer(&mut world.state, "other");
    let group = testing::target_group(&mut world.state, "other", Protocol::Tcp);
    let of_other = tls_listener(&mut world, &other, 443, &group);
    world.call(ADD, input(&of_other, 2..=26));
    world.refused(Code::TooManyCertificates, ADD, input(&of_other, [27]));
}

#[test]
fn refusals() {
    let (mut world, arn) = world();
    let default = |default: bool| json!([{"CertificateArn": certificate(2), "IsDefault": default}]);
    for operation in [ADD, REMOVE] {
        for certificates in [json!([]), json!([{}]), default(true), default(false)] {
            let input = json!({"ListenerArn": arn, "Certificates": certificates});
            world.refused(Code::ValidationError, operation, input);
        }
        world.refused(Code::ValidationError, operation, json!({"ListenerArn": arn}));
        let gone = Arn::parse(&format!("{arn}0")).unwrap().0;
        world.refused(Code::ListenerNotFound, operation, input(&gone, [2]));
    }
    world.refused(Code::ListenerNotFound, DESCRIBE, json!({"ListenerArn": format!("{arn}0")}));
    world.refused(Code::ValidationError, DESCRIBE, json!({"ListenerArn": "web"}));
    world.refused(Code::CertificateNotFound, ADD, input(&arn, [2, 41]));
    assert_all(&mut world, &arn, &[(1, true)]);
}

/// Wherever a listener could get it.
#[test]
fn what_no_listener_can_use() {
    let (mut world, arn) = world();
    world.inventory.unsuitable.insert(certificate(2), "its key is an EC key".into());
    let code = Code::InvalidConfigurationRequest;
    let message = world.refused(code, ADD, input(&arn, [3, 2]));
    assert!(message.contains(&certificate(2)) && message.ends_with("its key is an EC key"), "{message}");
    world.refused(code, "ModifyListener", input(&arn, [2]));
    let listener = &world.state.listeners[&arn];
    let actions = json!([{"Type": "forward", "TargetGroupArn": listener.target_group}]);
    let mut create = input(&arn, [2]);
    create.as_object_mut().unwrap().remove("ListenerArn");
    create.as_object_mut().unwrap().extend(
        json!({"LoadBalancerArn": listener.load_balancer, "Protocol": "TLS", "Port": 444, "DefaultActions": actions})
            .as_object()
            .unwrap()
            .clone(),
    );
    world.refused(code, "CreateListener", create);
    assert_all(&mut world, &arn, &[(1, true)]);
}

#[test]
fn other_listeners_have_none() {
    let (mut world, tls) = world();
    let listener = &world.state.listeners[&tls];
    let (balancer, group) = (listener.load_balancer.clone(), listener.target_group.clone());
    let arn = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
    world.refused(Code::InvalidConfigurationRequest, ADD, input(&arn, [2]));
    world.call(REMOVE, input(&arn, [2]));
    assert_all(&mut world, &arn, &[]);
}
