//! Operations of our own on the inventory: what commands add to what node.toml says.
//!
//! What stands in node.toml is shown and changed there; commands change what commands have added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Context, Void};
use crate::model::{
    Added, ApplicationLoadBalancer, Certificate, Code, ElasticIp, Fault, Instance, Inventory, SecurityGroup, State,
    Subnet,
};

/// A kind of thing in the inventory.
trait Item: Serialize + DeserializeOwned + Clone {
    /// As commands write it.
    const KIND: &'static str;
    /// The field that tells its things apart.
    const KEY: &'static str;
    fn id(&self) -> &str;
    fn added(added: &mut Added) -> &mut BTreeMap<String, Self>;
    fn all(inventory: &mut Inventory) -> &mut BTreeMap<String, Self>;
    /// Who needs it, in words, if anybody does.
    fn user(id: &str, state: &State) -> Option<String>;
}

macro_rules! item {
    ($type:ty, $kind:literal, $key:ident, $map:ident, $user:expr) => {
        impl Item for $type {
            const KIND: &'static str = $kind;
            const KEY: &'static str = stringify!($key);

            fn id(&self) -> &str {
                &self.$key
            }

            fn added(added: &mut Added) -> &mut BTreeMap<String, Self> {
                &mut added.$map
            }

            fn all(inventory: &mut Inventory) -> &mut BTreeMap<String, Self> {
                &mut inventory.$map
            }

            fn user(id: &str, state: &State) -> Option<String> {
                let user: fn(&str, &State) -> Option<String> = $user;
                user(id, state)
            }
        }
    };
}

item!(Subnet, "subnet", id, subnets, |id, state| balancer(state, |it| it.zones.iter().any(|zone| zone.subnet == id)));
// An instance may vanish: targets that name it become unused.
item!(Instance, "instance", id, instances, |_, _| None);
item!(ElasticIp, "elastic-ip", allocation_id, elastic_ips, |id, state| {
    balancer(state, |it| it.zones.iter().any(|zone| zone.allocation_id.as_deref() == Some(id)))
});
item!(SecurityGroup, "security-group", id, security_groups, |id, state| {
    balancer(state, |it| it.security_groups.iter().any(|group| group == id))
});
item!(Certificate, "certificate", arn, certificates, |id, state| {
    let listener = state.listeners.values().find(|it| it.certificates.iter().any(|arn| arn == id))?;
    Some(format!("listener {}", listener.arn))
});
item!(ApplicationLoadBalancer, "application-load-balancer", arn, application_load_balancers, |id, state| {
    let is = |key: &crate::model::TargetKey| matches!(&key.id, crate::model::TargetId::Alb(arn) if arn == id);
    let group = state.target_groups.values().find(|group| group.targets.keys().any(is))?;
    Some(format!("target group {}", group.name))
});

fn balancer(state: &State, uses: impl Fn(&crate::model::LoadBalancer) -> bool) -> Option<String> {
    let balancer = state.load_balancers.values().find(|balancer| uses(balancer))?;
    Some(format!("load balancer {}", balancer.name))
}

/// Calls a function for the type of a kind.
macro_rules! for_kind {
    ($kind:expr, $function:ident ( $($argument:expr),* )) => {
        match $kind {
            Subnet::KIND => $function::<Subnet>($($argument),*),
            Instance::KIND => $function::<Instance>($($argument),*),
            ElasticIp::KIND => $function::<ElasticIp>($($argument),*),
            SecurityGroup::KIND => $function::<SecurityGroup>($($argument),*),
            Certificate::KIND => $function::<Certificate>($($argument),*),
            ApplicationLoadBalancer::KIND => $function::<ApplicationLoadBalancer>($($argument),*),
            other => Err(Fault::validation(format!("Kind is {other}: allowed are {}", KINDS.join(", ")))),
        }
    };
}

/// All kinds.
pub const KINDS: [&str; 6] =
    ["subnet", "instance", "elastic-ip", "security-group", "certificate", "application-load-balancer"];

/// A thing and where it stands.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    kind: &'static str,
    /// `node.toml` or `store`.
    source: &'static str,
    item: Value,
}

/// Input of `CreateInventory`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateInput {
    kind: String,
    item: Map<String, Value>,
}

/// Runs `CreateInventory`.
///
/// # Errors
/// `ValidationError` if it breaks a rule, `ResourceInUse` if there is one of this id.
pub fn create(state: &mut State, input: CreateInput, context: &Context<'_>) -> Result<Listed, Fault> {
    for_kind!(input.kind.as_str(), create_one(state, input.item, context))
}

fn create_one<T: Item>(
    state: &mut State,
    item: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Listed, Fault> {
    let item: T = read(item)?;
    if T::all(&mut context.inventory.clone()).contains_key(item.id()) {
        let message = format!("there is a {} {} already: choose another {}, or modify it", T::KIND, item.id(), T::KEY);
        return Err(Fault::new(Code::ResourceInUse, message));
    }
    put(state, item, context)
}

/// Input of `ModifyInventory`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    kind: String,
    id: String,
    item: Map<String, Value>,
}

/// Runs `ModifyInventory`: fields that are not given stay; one that is `null` goes.
///
/// # Errors
/// `ResourceNotFound`, `OperationNotPermitted` if it stands in node.toml, `ValidationError` if it breaks a rule.
pub fn modify(state: &mut State, input: ModifyInput, context: &Context<'_>) -> Result<Listed, Fault> {
    for_kind!(input.kind.as_str(), modify_one(state, &input.id, input.item, context))
}

fn modify_one<T: Item>(
    state: &mut State,
    id: &str,
    changes: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Listed, Fault> {
    let old = own::<T>(state, id, context)?;
    let mut fields = match value(&old)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.extend(changes);
    fields.retain(|_, value| !value.is_null());
    let new: T = read(fields)?;
    if new.id() != id {
        return Err(Fault::validation(format!("{} can't change: delete {id} and create another one", T::KEY)));
    }
    put(state, new, context)
}

/// Input of `DeleteInventory`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeleteInput {
    kind: String,
    id: String,
}

/// Runs `DeleteInventory`.
///
/// # Errors
/// `ResourceNotFound`, `OperationNotPermitted` if it stands in node.toml, `ResourceInUse` if somebody needs it.
pub fn delete(state: &mut State, input: DeleteInput, context: &Context<'_>) -> Result<Void, Fault> {
    for_kind!(input.kind.as_str(), delete_one(state, &input.id, context))
}

fn delete_one<T: Item>(state: &mut State, id: &str, context: &Context<'_>) -> Result<Void, Fault> {
    own::<T>(state, id, context)?;
    if let Some(user) = T::user(id, state) {
        return Err(Fault::new(Code::ResourceInUse, format!("{user} uses {} {id}: change that first", T::KIND)));
    }
    T::added(&mut state.inventory).remove(id);
    let mut after = context.inventory.clone();
    T::all(&mut after).remove(id);
    valid(&after)?;
    Ok(Void {})
}

/// Input of `ListInventory`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ListInput {
    kind: Option<String>,
}

/// What `ListInventory` answers.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct ListOutput {
    items: Vec<Listed>,
}

/// Runs `ListInventory`.
///
/// # Errors
/// `ValidationError` for a kind that there is not.
pub fn list(state: &State, input: ListInput, context: &Context<'_>) -> Result<ListOutput, Fault> {
    let kinds = input.kind.as_deref().map_or(KINDS.to_vec(), |kind| vec![kind]);
    let mut items = Vec::new();
    for kind in kinds {
        items.extend(for_kind!(kind, list_kind(state, context))?);
    }
    Ok(ListOutput { items })
}

fn list_kind<T: Item>(state: &State, context: &Context<'_>) -> Result<Vec<Listed>, Fault> {
    let (mut added, mut all) = (state.inventory.clone(), context.inventory.clone());
    let added = T::added(&mut added);
    T::all(&mut all)
        .iter()
        .map(|(id, item)| {
            let source = if added.contains_key(id) { "store" } else { "node.toml" };
            Ok(Listed { kind: T::KIND, source, item: value(item)? })
        })
        .collect()
}

/// The thing of this id, if commands may change it.
fn own<T: Item>(state: &mut State, id: &str, context: &Context<'_>) -> Result<T, Fault> {
    if let Some(item) = T::added(&mut state.inventory).get(id) {
        return Ok(item.clone());
    }
    if T::all(&mut context.inventory.clone()).contains_key(id) {
        let message = format!("{} {id} stands in node.toml: change it there, and send the controller SIGHUP", T::KIND);
        return Err(Fault::new(Code::OperationNotPermitted, message));
    }
    Err(Fault::new(Code::ResourceNotFound, format!("there is no {} {id}; `nlb inventory list` shows all", T::KIND)))
}

fn put<T: Item>(state: &mut State, item: T, context: &Context<'_>) -> Result<Listed, Fault> {
    let mut after = context.inventory.clone();
    T::all(&mut after).insert(item.id().to_owned(), item.clone());
    valid(&after)?;
    let listed = Listed { kind: T::KIND, source: "store", item: value(&item)? };
    T::added(&mut state.inventory).insert(item.id().to_owned(), item);
    Ok(listed)
}

fn valid(inventory: &Inventory) -> Result<(), Fault> {
    match validate(inventory).into_iter().next() {
        Some(problem) => Err(Fault::validation(problem)),
        None => Ok(()),
    }
}

fn read<T: Item>(fields: Map<String, Value>) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| Fault::validation(format!("{}: {error}", T::KIND)))
}

fn value<T: Serialize>(item: &T) -> Result<Value, Fault> {
    serde_json::to_value(item).map_err(|error| Fault::new(Code::InternalFailure, error.to_string()))
}

/// Everything that is wrong with an inventory, in sentences.
pub fn validate(inventory: &Inventory) -> Vec<String> {
    let mut problems = Vec::new();
    ids(inventory, &mut problems);
    subnets(inventory, &mut problems);
    addresses(inventory, &mut problems);
    problems
}

fn ids(inventory: &Inventory, problems: &mut Vec<String>) {
    let plain = |id: &&String| {
        !(1..=255).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic() && !b",\"'".contains(&byte))
    };
    let ids = inventory
        .subnets
        .keys()
        .chain(inventory.instances.keys())
        .chain(inventory.elastic_ips.keys())
        .chain(inventory.security_groups.keys())
        .chain(inventory.certificates.keys())
        .chain(inventory.application_load_balancers.keys());
    problems.extend(ids.filter(plain).map(|id| {
        format!("{id:?} is no id: allowed are 1 to 255 visible ASCII characters but comma and quotes")
    }));
}

fn subnets(inventory: &Inventory, problems: &mut Vec<String>) {
    let word = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&text.len()) && text.bytes().all(allowed)
    };
    let all: Vec<&Subnet> = inventory.subnets.values().collect();
    for (n, subnet) in all.iter().enumerate() {
        let Subnet { id, vpc, zone, cidr, ipv6_cidr, .. } = subnet;
        if !word(zone) {
            problems.push(format!("subnet {id}: zone {zone:?}: allowed are 1 to 32 characters of a-z, 0-9 and -"));
        }
        if vpc.is_empty() {
            problems.push(format!("subnet {id}: vpc is empty: any name will do"));
        }
        if cidr.addr() != cidr.network() {
            problems.push(format!("subnet {id}: cidr {cidr} has host bits: write {}", cidr.trunc()));
        }
        if !(8..=29).contains(&cidr.prefix_len()) {
            problems.push(format!("subnet {id}: cidr {cidr}: allowed are prefixes of 8 to 29 bits"));
        }
        if let Some(v6) = ipv6_cidr {
            if v6.addr() != v6.network() {
                problems.push(format!("subnet {id}: ipv6_cidr {v6} has host bits: write {}", v6.trunc()));
            }
            if !(16..=120).contains(&v6.prefix_len()) {
                problems.push(format!("subnet {id}: ipv6_cidr {v6}: allowed are prefixes of 16 to 120 bits"));
            }
        }
        for other in all.iter().take(n).filter(|other| other.vpc == *vpc) {
            let v4 = other.cidr.contains(cidr) || cidr.contains(&other.cidr);
            let v6 = other.ipv6_cidr.zip(*ipv6_cidr).is_some_and(|(a, b)| a.contains(&b) || b.contains(&a));
            if v4 || v6 {
                problems.push(format!("subnets {} and {id} of {vpc} overlap: give them ranges of their own", other.id));
            }
        }
    }
}

fn addresses(inventory: &Inventory, problems: &mut Vec<String>) {
    let mut seen: BTreeMap<(Option<&str>, std::net::IpAddr), &str> = BTreeMap::new();
    let instances = inventory.instances.values().map(|it| (&it.id, &it.subnet, it.address.into()));
    let proxies = inventory.application_load_balancers.values().map(|it| (&it.arn, &it.subnet, it.address));
    for (id, subnet, address) in instances.chain(proxies) {
        let Some(place) = inventory.subnets.get(subnet) else {
            problems.push(format!("{id}: there is no subnet {subnet} in the inventory"));
            continue;
        };
        if !place.holds(address) {
            problems.push(format!("{id}: {address} is not in subnet {subnet} ({})", place.cidr));
        }
        if let Some(first) = seen.insert((Some(&place.vpc), address), id) {
            problems.push(format!("{first} and {id} both have address {address}"));
        }
    }
    for elastic in inventory.elastic_ips.values() {
        if let Some(first) = seen.insert((None, elastic.address.into()), &elastic.allocation_id) {
            problems.push(format!("{first} and {} both have address {}", elastic.allocation_id, elastic.address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::World;
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
}
