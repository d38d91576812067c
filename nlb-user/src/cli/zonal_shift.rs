//! `nlb zonal-shift`: take traffic of a load balancer away from a zone for a time.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{
    call::{Api, Input, Told, members, said, short},
    output::{Output, render, table_of_names},
};

/// What can be done with zonal shifts.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Shift traffic away from a zone
    #[command(visible_alias = "create")]
    Start {
        /// The load balancer: name or ARN
        load_balancer: String,
        /// The zone that gets no traffic
        #[arg(value_name = "ZONE")]
        away_from: String,
        /// How long: 1m to 72h (minutes, hours, days: 90m, 2h, 3d)
        #[arg(long, value_name = "TIME")]
        expires_in: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// List zonal shifts
    #[command(visible_alias = "show")]
    List {
        /// Only this load balancer's: name or ARN
        load_balancer: Option<String>,
    },
    /// Change how long a zonal shift lasts, counted from now, or why
    #[command(visible_alias = "modify")]
    Update {
        /// The load balancer: name or ARN
        load_balancer: String,
        /// How long: 1m to 72h
        #[arg(long, value_name = "TIME", required_unless_present = "comment")]
        expires_in: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// End a zonal shift: the zone gets traffic again
    #[command(visible_alias = "delete")]
    Cancel {
        /// The load balancer: name or ARN
        load_balancer: String,
    },
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    output.show(&run(command, api)?)
}

fn run(command: Command, api: Api<'_>) -> Result<Told> {
    let input = |name: &str| Ok::<_, anyhow::Error>(Input::new().with("LoadBalancerArn", api.load_balancer(name)?));
    match command {
        Command::Start { load_balancer, away_from, expires_in, comment } => {
            let text = format!("+ zonal shift of {load_balancer} away from {away_from} for {expires_in}\n");
            let input = input(&load_balancer)?.with("AwayFrom", away_from).with("ExpiresIn", expires_in);
            Ok(Told { output: api.call("StartZonalShift", input.maybe("Comment", comment))?, text })
        }
        Command::List { load_balancer } => {
            let input = load_balancer.map(|name| input(&name)).transpose()?.unwrap_or_default();
            let output = api.call("ListZonalShifts", input)?;
            let text = list(&output);
            Ok(Told { output, text: if text.is_empty() { "no zonal shifts\n".to_owned() } else { text } })
        }
        Command::Update { load_balancer, expires_in, comment } => {
            let input = input(&load_balancer)?.maybe("ExpiresIn", expires_in).maybe("Comment", comment);
            let output = api.call("UpdateZonalShift", input)?;
            Ok(Told { output, text: format!("~ zonal shift of {load_balancer}\n") })
        }
        Command::Cancel { load_balancer } => {
            let output = api.call("CancelZonalShift", input(&load_balancer)?)?;
            Ok(Told { output, text: format!("- zonal shift of {load_balancer}\n") })
        }
    }
}

/// The zonal shifts of one load balancer.
///
/// # Errors
/// As [`Api::call`].
pub fn of(balancer: &str, api: Api<'_>) -> Result<Value> {
    api.call("ListZonalShifts", Input::new().with("LoadBalancerArn", balancer))
}

/// A table of zonal shifts; nothing if there are none.
pub fn list(output: &Value) -> String {
    let mut table = table_of_names(2, ["LOAD BALANCER", "AWAY FROM", "STATUS", "UNTIL", "COMMENT"]);
    for shift in members(output, "ZonalShifts") {
        let rest = ["AwayFrom", "Status", "ExpiryTime", "Comment"].map(|name| said(shift, name));
        table.add_row([short(&said(shift, "LoadBalancerArn")).to_owned()].into_iter().chain(rest));
    }
    render(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;
    use serde_json::json;

    #[test]
    fn a_shift_is_started_and_listed() {
        let command = Command::Start {
            load_balancer: "arn:b".into(),
            away_from: "a".into(),
            expires_in: "2h".into(),
            comment: Some("power".into()),
        };
        let (told, asked) = scripted(vec![json!({})], |api| run(command, api));
        assert_eq!(told.unwrap().text, "+ zonal shift of arn:b away from a for 2h\n");
        let expected = json!({"LoadBalancerArn": "arn:b", "AwayFrom": "a", "ExpiresIn": "2h", "Comment": "power"});
        assert_eq!(asked, [json!(["StartZonalShift", expected])]);
        let shifts = json!({"ZonalShifts": [{
            "LoadBalancerArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/web/1",
            "AwayFrom": "a", "Status": "ACTIVE", "ExpiryTime": "2026-11-21T14:00:00.000Z", "Comment": "power",
        }]});
        let expected = "LOAD BALANCER  AWAY FROM  STATUS  UNTIL                     COMMENT\n\
            web            a          ACTIVE  2026-11-21T14:00:00.000Z  power\n";
        assert_eq!(list(&shifts), expected);
        let (told, _) =
            scripted(vec![json!({"ZonalShifts": []})], |api| run(Command::List { load_balancer: None }, api));
        assert_eq!(told.unwrap().text, "no zonal shifts\n");
    }
}
