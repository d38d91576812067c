//! Zonal shifts: traffic of a load balancer away from one zone, for a time (guide, "Zonal shift").
//!
//! In the reference they are another service's; here they are operations of this API that only commands can call.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Context, Void, checks, find, load_balancer_attributes, paging::Paging, time};
use crate::model::{Arn, Code, Fault, LoadBalancer, State, ZonalShift};

/// The shortest time of a shift, in seconds.
const LEAST: i64 = 60;
/// The longest, in seconds: 72 hours.
const MOST: i64 = 72 * 3600;
/// The most characters of a comment.
const COMMENT: usize = 128;

/// `StartZonalShift`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StartInput {
    load_balancer_arn: String,
    away_from: String,
    expires_in: String,
    comment: Option<String>,
}

/// `UpdateZonalShift`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct UpdateInput {
    load_balancer_arn: String,
    expires_in: Option<String>,
    comment: Option<String>,
}

/// `CancelZonalShift`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CancelInput {
    load_balancer_arn: String,
}

/// `ListZonalShifts`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ListInput {
    load_balancer_arn: Option<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What `ListZonalShifts` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListOutput {
    zonal_shifts: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// A shift as a caller is told it; what `StartZonalShift` and `UpdateZonalShift` answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Told {
    load_balancer_arn: String,
    load_balancer_name: String,
    away_from: String,
    comment: String,
    start_time: String,
    expiry_time: String,
    status: &'static str,
}

impl Told {
    fn new(balancer: &LoadBalancer, shift: &ZonalShift, now: Timestamp) -> Self {
        Self {
            load_balancer_arn: balancer.arn.to_string(),
            load_balancer_name: balancer.name.clone(),
            away_from: shift.zone.clone(),
            comment: shift.comment.clone(),
            start_time: time(shift.started),
            expiry_time: time(shift.expires),
            status: if shift.expires > now { "ACTIVE" } else { "EXPIRED" },
        }
    }
}

/// The shift in effect, if there is one.
pub fn active(balancer: &LoadBalancer, now: Timestamp) -> Option<&ZonalShift> {
    balancer.zonal_shift.as_ref().filter(|shift| shift.expires > now)
}

/// Ends shifts that have expired; whether there were any.
pub fn end_expired(state: &mut State, now: Timestamp) -> bool {
    let is_over = |balancer: &LoadBalancer| balancer.zonal_shift.as_ref().is_some_and(|shift| shift.expires <= now);
    let mut any = false;
    for balancer in state.load_balancers.values_mut().filter(|balancer| is_over(balancer)) {
        Arc::make_mut(balancer).zonal_shift = None;
        any = true;
    }
    any
}

/// `StartZonalShift`.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`; `InvalidConfigurationRequest` if the zone is not enabled, or cross-zone
/// load balancing is on; `OperationNotPermitted` if there is a shift already.
pub fn start(state: &mut State, input: StartInput, context: &Context<'_>) -> Result<Told, Fault> {
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    let expires = expires(&input.expires_in, context.now)?;
    let comment = comment(input.comment.unwrap_or_default())?;
    let zone = input.away_from;
    if !balancer.has_zone(&zone, &context.inventory.zone) {
        let zones: Vec<&str> = balancer.zones.iter().map(|zone| zone.zone.as_str()).collect();
        let zones = if zones.is_empty() { context.inventory.zone.clone() } else { zones.join(", ") };
        return Err(Fault::configuration(format!(
            "the zone {zone} is not enabled for the load balancer {}: it has {zones}",
            balancer.name
        )));
    }
    if let Some(shift) = active(balancer, context.now) {
        return Err(Fault::new(
            Code::OperationNotPermitted,
            format!(
                "traffic of {} is shifted away from {} until {}: update or cancel that zonal shift first",
                balancer.name,
                shift.zone,
                time(shift.expires)
            ),
        ));
    }
    without_cross_zone(balancer, state)?;
    let shift = ZonalShift { zone, expires, comment, started: context.now };
    let arn = balancer.arn.clone();
    change(state, &arn, shift, context.now)
}

/// `UpdateZonalShift`: a new time from now on, a new comment, or both.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`; `ResourceNotFound` if there is no shift in effect.
pub fn update(state: &mut State, input: UpdateInput, context: &Context<'_>) -> Result<Told, Fault> {
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    if input.expires_in.is_none() && input.comment.is_none() {
        return Err(Fault::validation("neither ExpiresIn nor Comment is given: there is nothing to update"));
    }
    let mut shift = active(balancer, context.now).ok_or_else(|| none(balancer))?.clone();
    if let Some(text) = input.expires_in {
        shift.expires = expires(&text, context.now)?;
    }
    if let Some(text) = input.comment {
        shift.comment = comment(text)?;
    }
    let arn = balancer.arn.clone();
    change(state, &arn, shift, context.now)
}

/// `CancelZonalShift`.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`; `ResourceNotFound` if there is no shift in effect.
pub fn cancel(state: &mut State, input: CancelInput, context: &Context<'_>) -> Result<Void, Fault> {
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    active(balancer, context.now).ok_or_else(|| none(balancer))?;
    let arn = balancer.arn.clone();
    if let Some(balancer) = state.load_balancers.get_mut(&arn) {
        Arc::make_mut(balancer).zonal_shift = None;
    }
    Ok(Void {})
}

/// `ListZonalShifts`: those of all load balancers, or of one.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`.
pub fn list(state: &State, input: ListInput, context: &Context<'_>) -> Result<ListOutput, Fault> {
    let paging = Paging::new("zonal-shifts", input.page_size, input.marker.as_deref())?;
    let one = input.load_balancer_arn.as_deref().map(|arn| find::load_balancer(state, arn)).transpose()?;
    let wanted = state.load_balancers.values().filter(|balancer| one.is_none_or(|one| one.arn == balancer.arn));
    let shifts = wanted.filter_map(|balancer| Some((balancer, balancer.zonal_shift.as_ref()?)));
    let (page, next_marker) = paging.page(shifts, |(balancer, _)| balancer.arn.as_str());
    let zonal_shifts = page.into_iter().map(|(balancer, shift)| Told::new(balancer, shift, context.now)).collect();
    Ok(ListOutput { zonal_shifts, next_marker })
}

fn change(state: &mut State, arn: &Arn, shift: ZonalShift, now: Timestamp) -> Result<Told, Fault> {
    let balancer = state
        .load_balancers
        .get_mut(arn)
        .ok_or_else(|| Fault::new(Code::LoadBalancerNotFound, format!("there is no load balancer {arn}")))?;
    let told = Told::new(balancer, &shift, now);
    Arc::make_mut(balancer).zonal_shift = Some(shift);
    Ok(told)
}

fn none(balancer: &LoadBalancer) -> Fault {
    let sentence = format!("the load balancer {} has no zonal shift in effect: start one", balancer.name);
    Fault::new(Code::ResourceNotFound, sentence)
}

/// When a time like `30m`, `12h` or `3d` from now is over.
fn expires(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let malformed = || {
        Fault::validation(format!(
            "ExpiresIn is `{text}`: write a whole number and m, h or d, as in 30m, from 1 minute to 72 hours"
        ))
    };
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86400,
        _ => return Err(malformed()),
    };
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let seconds = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(malformed)?;
    if !(LEAST..=MOST).contains(&seconds) {
        return Err(malformed());
    }
    now.checked_add(SignedDuration::from_secs(seconds)).map_err(|_| malformed())
}

fn comment(text: String) -> Result<String, Fault> {
    checks::at_most_characters("Comment", &text, COMMENT)?;
    match text.chars().find(|char| char.is_control()) {
        Some(other) => Err(Fault::validation(format!("Comment has `{}`: write one line", other.escape_debug()))),
        None => Ok(text),
    }
}

/// Refuses a load balancer whose nodes, or those of some of its target groups, use targets of all zones.
fn without_cross_zone(balancer: &LoadBalancer, state: &State) -> Result<(), Fault> {
    const KEY: &str = load_balancer_attributes::CROSS_ZONE;
    let refused = |what: &str, name: &str| {
        Err(Fault::configuration(format!("the {what} {name} has {KEY}: turn it off before a zonal shift")))
    };
    if load_balancer_attributes::cross_zone(balancer) {
        return refused("load balancer", &balancer.name);
    }
    let groups = state.listeners_of(&balancer.arn).filter_map(|it| state.target_groups.get(&it.target_group));
    let mut with = groups.filter(|group| group.attributes.get(KEY).is_some_and(|value| value == "true"));
    match with.next() {
        Some(group) => refused("target group", &group.name),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::Protocol,
        ops::testing::{self, World},
    };

    fn start(arn: &Arn, zone: &str, time: &str) -> Value {
        json!({"LoadBalancerArn": arn, "AwayFrom": zone, "ExpiresIn": time, "Comment": "a fire"})
    }

    fn world() -> (World, Arn) {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        (world, arn)
    }

    #[test]
    fn a_life() {
        let (mut world, arn) = world();
        let told = world.call("StartZonalShift", start(&arn, "us-east-1b", "1m"));
        let expected = json!({
            "LoadBalancerArn": arn, "LoadBalancerName": "web", "AwayFrom": "us-east-1b", "Comment": "a fire",
            "StartTime": "2026-11-21T12:00:00.123Z", "ExpiryTime": "2026-11-21T12:01:00.123Z", "Status": "ACTIVE",
        });
        assert_eq!(told, expected);
        assert_eq!(world.call("ListZonalShifts", json!({})), json!({"ZonalShifts": [expected]}));
        // The new time counts from now; what was not named stays.
        let told = world.call("UpdateZonalShift", json!({"LoadBalancerArn": arn, "ExpiresIn": "72h"}));
        assert_eq!([&told["ExpiryTime"], &told["Comment"]], ["2026-11-24T12:00:02.123Z", "a fire"]);
        let told = world.call("UpdateZonalShift", json!({"LoadBalancerArn": arn, "Comment": ""}));
        assert_eq!([&told["ExpiryTime"], &told["Comment"]], ["2026-11-24T12:00:02.123Z", ""]);
        assert_eq!(world.call("CancelZonalShift", json!({"LoadBalancerArn": arn})), json!({}));
        assert_eq!(world.call("ListZonalShifts", json!({"LoadBalancerArn": arn})), json!({"ZonalShifts": []}));
        world.refused(Code::ResourceNotFound, "CancelZonalShift", json!({"LoadBalancerArn": arn}));
    }

    #[test]
    fn times() {
        let (mut world, arn) = world();
        for time in ["1m", "4320m", "72h", "3d", "1h", "060m"] {
            world.call("StartZonalShift", start(&arn, "us-east-1a", time));
            world.call("CancelZonalShift", json!({"LoadBalancerArn": arn}));
        }
        for time in [
            "",
            "m",
            "0m",
            "59",
            "60s",
            "4321m",
            "73h",
            "4d",
            "-1m",
            "+1m",
            "1 m",
            "1.5h",
            "9223372036854775807h",
            "1é",
        ] {
            world.refused(Code::ValidationError, "StartZonalShift", start(&arn, "us-east-1a", time));
        }
    }

    #[test]
    fn comments() {
        let (mut world, arn) = world();
        let input = |comment: &str| {
            let mut input = start(&arn, "us-east-1a", "1m");
            input["Comment"] = json!(comment);
            input
        };
        world.refused(Code::ValidationError, "StartZonalShift", input(&"é".repeat(129)));
        world.refused(Code::ValidationError, "StartZonalShift", input("a\nb"));
        world.call("StartZonalShift", input(&"é".repeat(128)));
    }

    #[test]
    fn one_zone_at_a_time() {
        let (mut world, arn) = world();
        world.refused(Code::InvalidConfigurationRequest, "StartZonalShift", start(&arn, "us-east-1c", "1h"));
        world.call("StartZonalShift", start(&arn, "us-east-1a", "1h"));
        for zone in ["us-east-1a", "us-east-1b"] {
            world.refused(Code::OperationNotPermitted, "StartZonalShift", start(&arn, zone, "1h"));
        }
        // Another load balancer is another matter.
        let other = testing::load_balancer(&mut world.state, "other");
        world.call("StartZonalShift", start(&other, "us-east-1b", "1h"));
    }

    #[test]
    fn expired() {
        let (mut world, arn) = world();
        let started = world.now;
        world.call("StartZonalShift", start(&arn, "us-east-1a", "1m"));
        world.now = started + 60.seconds() - 1.nanosecond();
        assert!(active(&world.state.load_balancers[&arn], world.now).is_some());
        assert!(!end_expired(&mut world.state, world.now));
        world.now = started + 60.seconds();
        assert_eq!(active(&world.state.load_balancers[&arn], world.now), None);
        let told = world.call("ListZonalShifts", json!({}));
        assert_eq!(told["ZonalShifts"][0]["Status"], "EXPIRED");
        world.refused(Code::ResourceNotFound, "UpdateZonalShift", json!({"LoadBalancerArn": arn, "Comment": "x"}));
        // An expired one is in nobody's way.
        world.call("StartZonalShift", start(&arn, "us-east-1b", "1m"));
        world.now += 61.seconds();
        world.state = super::super::expire(&world.state, world.now).unwrap();
        assert_eq!(super::super::expire(&world.state, world.now), None);
        assert_eq!(world.call("ListZonalShifts", json!({})), json!({"ZonalShifts": []}));
    }

    #[test]
    fn not_with_cross_zone() {
        let (mut world, arn) = world();
        let set = |world: &mut World, value: &str| {
            let attributes = json!([{"Key": load_balancer_attributes::CROSS_ZONE, "Value": value}]);
            world.call("ModifyLoadBalancerAttributes", json!({"LoadBalancerArn": arn, "Attributes": attributes}));
        };
        set(&mut world, "true");
        world.refused(Code::InvalidConfigurationRequest, "StartZonalShift", start(&arn, "us-east-1a", "1h"));
        set(&mut world, "false");
        let group = testing::target_group(&mut world.state, "targets", Protocol::Tcp);
        testing::listener(&mut world.state, &arn, Protocol::Tcp, 80, &group);
        let change = Arc::make_mut(world.state.target_groups.get_mut(&group).unwrap());
        change.attributes.insert(load_balancer_attributes::CROSS_ZONE.into(), "true".into());
        let why = world.refused(Code::InvalidConfigurationRequest, "StartZonalShift", start(&arn, "us-east-1a", "1h"));
        assert!(why.contains("target group targets"), "{why}");
        Arc::make_mut(world.state.target_groups.get_mut(&group).unwrap()).attributes.clear();
        world.call("StartZonalShift", start(&arn, "us-east-1a", "1h"));
    }

    #[test]
    fn refusals() {
        let (mut world, arn) = world();
        let none = Arn::load_balancer(&world.account, "web", "0");
        world.refused(Code::LoadBalancerNotFound, "StartZonalShift", start(&none, "us-east-1a", "1h"));
        for operation in ["UpdateZonalShift", "CancelZonalShift", "ListZonalShifts"] {
            world.refused(Code::LoadBalancerNotFound, operation, json!({"LoadBalancerArn": none}));
        }
        world.refused(Code::ValidationError, "UpdateZonalShift", json!({"LoadBalancerArn": arn}));
        world.refused(Code::ResourceNotFound, "UpdateZonalShift", json!({"LoadBalancerArn": arn, "Comment": "x"}));
        world.refused(
            Code::ValidationError,
            "StartZonalShift",
            json!({"LoadBalancerArn": arn, "AwayFrom": "us-east-1a"}),
        );
    }
}
