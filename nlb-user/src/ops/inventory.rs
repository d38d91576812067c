//! Operations of our own on the inventory: what commands add to what node.toml says.
//!
//! What stands in node.toml is shown and changed there; commands change what commands have added.

mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::rules::validate;
use super::{Context, Void};
use crate::model::{
    Added, ApplicationLoadBalancer, Certificate, Code, ElasticIp, Fault, Instance, Inventory, LoadBalancer,
    SecurityGroup, State, Subnet, TargetId,
};

/// A kind of thing in the inventory: where its things are.
trait Kept: Serialize + DeserializeOwned + Clone + PartialEq {
    /// As commands write it.
    const KIND: &'static str;
    /// The field that tells its things apart.
    const KEY: &'static str;
    fn id(&self) -> &str;
    fn added(added: &mut Added) -> &mut BTreeMap<String, Self>;
    fn all(inventory: &mut Inventory) -> &mut BTreeMap<String, Self>;
}

macro_rules! kept {
    ($type:ty, $kind:literal, $key:ident, $map:ident) => {
        impl Kept for $type {
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
        }
    };
}

kept!(Subnet, "subnet", id, subnets);
kept!(Instance, "instance", id, instances);
kept!(ElasticIp, "elastic-ip", allocation_id, elastic_ips);
kept!(SecurityGroup, "security-group", id, security_groups);
kept!(Certificate, "certificate", arn, certificates);
kept!(ApplicationLoadBalancer, "application-load-balancer", arn, application_load_balancers);

/// What commands may do with a kind of thing.
trait Item: Kept {
    /// Who needs it, in words, if anybody does.
    fn user(&self, state: &State, inventory: &Inventory) -> Option<String>;

    /// Whether those who need it can go on with `new` in its place.
    fn can_become(&self, _new: &Self) -> bool {
        true
    }

    /// What is wrong with it as a command gives it, in words.
    fn problem(&self) -> Option<String> {
        None
    }
}

impl Item for Subnet {
    fn user(&self, state: &State, inventory: &Inventory) -> Option<String> {
        let instance = || inventory.instances.values().find(|it| it.subnet == self.id);
        let proxy = || inventory.application_load_balancers.values().find(|it| it.subnet == self.id);
        balancer(state, |it| it.zones.iter().any(|zone| zone.subnet == self.id))
            .or_else(|| Some(format!("instance {}", instance()?.id)))
            .or_else(|| Some(format!("application-load-balancer {}", proxy()?.arn)))
    }

    /// It may grow: the addresses that were chosen from it stay within.
    fn can_become(&self, new: &Self) -> bool {
        let ipv6 = self.ipv6_cidr.is_none_or(|old| new.ipv6_cidr.is_some_and(|new| new.contains(&old)));
        new.vpc == self.vpc && new.zone == self.zone && new.cidr.contains(&self.cidr) && ipv6
    }
}

impl Item for Instance {
    /// Nobody: an instance may vanish, and targets that name it become unused.
    fn user(&self, _: &State, _: &Inventory) -> Option<String> {
        None
    }
}

impl Item for ElasticIp {
    fn user(&self, state: &State, _: &Inventory) -> Option<String> {
        balancer(state, |it| it.zones.iter().any(|zone| zone.allocation_id.as_ref() == Some(&self.allocation_id)))
    }

    /// A load balancer's address never changes.
    fn can_become(&self, new: &Self) -> bool {
        new.address == self.address
    }
}

impl Item for SecurityGroup {
    fn user(&self, state: &State, _: &Inventory) -> Option<String> {
        balancer(state, |it| it.security_groups.contains(&self.id))
    }

    fn can_become(&self, new: &Self) -> bool {
        new.vpc == self.vpc || new.vpc.is_none()
    }
}

impl Item for Certificate {
    fn user(&self, state: &State, _: &Inventory) -> Option<String> {
        let listener = state.listeners.values().find(|it| it.certificates.contains(&self.arn))?;
        Some(format!("listener {}", listener.arn))
    }

    fn problem(&self) -> Option<String> {
        let file = [&self.certificate_file, &self.key_file].into_iter().find(|file| !file.is_absolute())?;
        let file = file.display();
        Some(format!("{file:?} is a relative path, and the controller runs elsewhere: allowed are absolute paths"))
    }
}

impl Item for ApplicationLoadBalancer {
    fn user(&self, state: &State, _: &Inventory) -> Option<String> {
        let is = |id: &TargetId| matches!(id, TargetId::Alb(arn) if *arn == self.arn);
        let group = state.target_groups.values().find(|group| group.targets.keys().any(|key| is(&key.id)))?;
        Some(format!("target group {}", group.name))
    }
}

fn balancer(state: &State, uses: impl Fn(&LoadBalancer) -> bool) -> Option<String> {
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

fn create_one<T: Item>(state: &mut State, item: Map<String, Value>, context: &Context<'_>) -> Result<Listed, Fault> {
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
/// `ResourceNotFound`, `OperationNotPermitted` if it stands in node.toml, `ResourceInUse` if somebody needs it as it is,
/// `ValidationError` if it breaks a rule.
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
    if !old.can_become(&new)
        && let Some(user) = old.user(state, context.inventory)
    {
        let message = format!("{user} uses {} {id} as it is: change that first, or create another one", T::KIND);
        return Err(Fault::new(Code::ResourceInUse, message));
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
    if hidden::<T>(state, id, context) {
        // Whoever names this id means what stands in node.toml.
        T::added(&mut state.inventory).remove(id);
        return Ok(Void {});
    }
    if let Some(user) = own::<T>(state, id, context)?.user(state, context.inventory) {
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
            let source = if added.get(id) == Some(item) { "store" } else { "node.toml" };
            Ok(Listed { kind: T::KIND, source, item: value(item)? })
        })
        .collect()
}

/// Whether commands have added something of this id that does not count, for node.toml has another one.
fn hidden<T: Item>(state: &mut State, id: &str, context: &Context<'_>) -> bool {
    let mut all = context.inventory.clone();
    let counts = T::all(&mut all).get(id);
    T::added(&mut state.inventory).get(id).is_some_and(|added| counts.is_some_and(|counts| counts != added))
}

/// The thing of this id, if commands may change it.
fn own<T: Item>(state: &mut State, id: &str, context: &Context<'_>) -> Result<T, Fault> {
    if !hidden::<T>(state, id, context)
        && let Some(item) = T::added(&mut state.inventory).get(id)
    {
        return Ok(item.clone());
    }
    if T::all(&mut context.inventory.clone()).contains_key(id) {
        let message = format!("{} {id} stands in node.toml: change it there, and send the controller SIGHUP", T::KIND);
        return Err(Fault::new(Code::OperationNotPermitted, message));
    }
    Err(Fault::new(Code::ResourceNotFound, format!("there is no {} {id}; `nlb inventory list` shows all", T::KIND)))
}

fn put<T: Item>(state: &mut State, item: T, context: &Context<'_>) -> Result<Listed, Fault> {
    if let Some(problem) = item.problem() {
        return Err(Fault::validation(format!("{} {}: {problem}", T::KIND, item.id())));
    }
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

#[cfg(test)]
mod tests;
