//! Health check settings of target groups: defaults, ranges, and what goes together (guide, "Health check settings").

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::checks::within;
use crate::model::{Fault, HealthCheck, HealthProtocol, TargetType};

/// The word for the port that each target gets its traffic at.
pub const TRAFFIC_PORT: &str = "traffic-port";

const INTERVAL_S: RangeInclusive<i64> = 5..=300;
const TIMEOUT_S: RangeInclusive<i64> = 2..=120;
const THRESHOLD: RangeInclusive<i64> = 2..=10;
const CODES: RangeInclusive<u16> = 200..=599;
/// The most characters of a path.
const LONGEST_PATH: usize = 1024;

/// Settings as a caller gives them: what is `None` was not mentioned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// `HealthCheckProtocol`.
    pub protocol: Option<String>,
    /// `HealthCheckPort`.
    pub port: Option<String>,
    /// `HealthCheckPath`.
    pub path: Option<String>,
    /// `Matcher`.
    pub matcher: Option<Matcher>,
    /// `HealthCheckEnabled`.
    pub enabled: Option<bool>,
    /// `HealthCheckIntervalSeconds`.
    pub interval_s: Option<i64>,
    /// `HealthCheckTimeoutSeconds`.
    pub timeout_s: Option<i64>,
    /// `HealthyThresholdCount`.
    pub healthy_threshold: Option<i64>,
    /// `UnhealthyThresholdCount`.
    pub unhealthy_threshold: Option<i64>,
}

/// Codes of success as a caller gives them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Matcher {
    /// Of HTTP.
    pub http_code: Option<String>,
    /// Of gRPC, which only groups of other kinds of load balancers can have.
    pub grpc_code: Option<String>,
}

/// The settings of a new group: what was wanted, and the defaults of the guide for the rest.
///
/// # Errors
/// `ValidationError` for a value that is not allowed, `InvalidConfigurationRequest` for values that do not go together.
pub fn settled(wanted: &Wanted, target_type: TargetType) -> Result<HealthCheck, Fault> {
    let default = match target_type {
        TargetType::Alb => HealthProtocol::Http,
        TargetType::Instance | TargetType::Ip => HealthProtocol::Tcp,
    };
    let protocol = protocol(wanted)?.unwrap_or(default);
    let of_http = protocol != HealthProtocol::Tcp;
    let base = HealthCheck {
        protocol,
        port: None,
        path: of_http.then(|| "/".to_owned()),
        matcher: of_http.then(|| "200-399".to_owned()),
        interval_s: 30,
        timeout_s: if protocol == HealthProtocol::Http { 6 } else { 10 },
        healthy_threshold: 5,
        unhealthy_threshold: 2,
    };
    changed(&base, wanted, target_type)
}

/// The settings `current`, with what was wanted in place of what is there. A group that turns to HTTP or HTTPS gets the
/// path and codes of the defaults; one that turns to TCP loses them.
///
/// # Errors
/// As [`settled`].
pub fn changed(current: &HealthCheck, wanted: &Wanted, target_type: TargetType) -> Result<HealthCheck, Fault> {
    let protocol = protocol(wanted)?.unwrap_or(current.protocol);
    if target_type == TargetType::Alb && protocol == HealthProtocol::Tcp {
        return Err(Fault::configuration(
            "HealthCheckProtocol is TCP: an Application Load Balancer is checked with HTTP or HTTPS",
        ));
    }
    if wanted.enabled == Some(false) {
        return Err(Fault::configuration(format!(
            "HealthCheckEnabled is false: health checks of target groups of type {} can't be disabled",
            target_type.as_str()
        )));
    }
    let (path, matcher) = of_http(current, wanted, protocol)?;
    let number = |name: &str, wanted: Option<i64>, range: RangeInclusive<i64>, current: u16| match wanted {
        Some(wanted) => within(name, wanted, range).map(|number| number as u16),
        None => Ok(current),
    };
    let threshold = |name: &str, wanted: Option<i64>, current: u8| match wanted {
        Some(wanted) => within(name, wanted, THRESHOLD).map(|number| number as u8),
        None => Ok(current),
    };
    let settled = HealthCheck {
        protocol,
        port: match &wanted.port {
            Some(text) => port(text)?,
            None => current.port,
        },
        path,
        matcher,
        interval_s: number("HealthCheckIntervalSeconds", wanted.interval_s, INTERVAL_S, current.interval_s)?,
        timeout_s: number("HealthCheckTimeoutSeconds", wanted.timeout_s, TIMEOUT_S, current.timeout_s)?,
        healthy_threshold: threshold("HealthyThresholdCount", wanted.healthy_threshold, current.healthy_threshold)?,
        unhealthy_threshold: threshold(
            "UnhealthyThresholdCount",
            wanted.unhealthy_threshold,
            current.unhealthy_threshold,
        )?,
    };
    in_time(&settled, wanted)?;
    Ok(settled)
}

/// A check must be over when the next one begins. Who gives only one of the times is not refused over the other's default.
fn in_time(settled: &HealthCheck, wanted: &Wanted) -> Result<(), Fault> {
    let mentioned = wanted.interval_s.is_some() && wanted.timeout_s.is_some();
    let HealthCheck { interval_s, timeout_s, .. } = settled;
    if mentioned && timeout_s > interval_s {
        return Err(Fault::validation(format!(
            "HealthCheckTimeoutSeconds is {timeout_s} and HealthCheckIntervalSeconds is {interval_s}: the timeout must \
             not be longer than the interval, give both to change both"
        )));
    }
    Ok(())
}

fn protocol(wanted: &Wanted) -> Result<Option<HealthProtocol>, Fault> {
    let Some(text) = &wanted.protocol else { return Ok(None) };
    HealthProtocol::from_text(text)
        .map(Some)
        .ok_or_else(|| Fault::validation(format!("HealthCheckProtocol is `{text}`: allowed are TCP, HTTP and HTTPS")))
}

fn port(text: &str) -> Result<Option<u16>, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        _ if text == TRAFFIC_PORT => Ok(None),
        Ok(port) if digits && port > 0 => Ok(Some(port)),
        _ => Err(Fault::validation(format!(
            "HealthCheckPort is `{text}`: allowed are {TRAFFIC_PORT}, the port that the target gets traffic at, and 1 \
             to 65535"
        ))),
    }
}

/// Path and codes, which only HTTP and HTTPS have.
fn of_http(
    current: &HealthCheck,
    wanted: &Wanted,
    protocol: HealthProtocol,
) -> Result<(Option<String>, Option<String>), Fault> {
    let codes = match &wanted.matcher {
        Some(Matcher { grpc_code: Some(_), .. }) => {
            return Err(Fault::configuration(
                "Matcher has GrpcCode: target groups of Network Load Balancers have HttpCode only",
            ));
        }
        Some(Matcher { http_code, .. }) => http_code.as_ref(),
        None => None,
    };
    if protocol == HealthProtocol::Tcp {
        let odd = wanted.path.as_ref().map(|_| "HealthCheckPath").or(codes.map(|_| "Matcher"));
        return match odd {
            None => Ok((None, None)),
            Some(odd) => Err(Fault::configuration(format!(
                "{odd} is given and HealthCheckProtocol is TCP: it is for HTTP and HTTPS only"
            ))),
        };
    }
    if let Some(path) = &wanted.path {
        check_path(path)?;
    }
    if let Some(codes) = codes
        && self::codes(codes).is_none()
    {
        return Err(Fault::validation(format!(
            "Matcher has HttpCode `{}`: allowed are codes of {} to {} (200), lists of them (200,202) and ranges (200-399)",
            codes.escape_debug(),
            CODES.start(),
            CODES.end()
        )));
    }
    let kept = |wanted: Option<&String>, current: &Option<String>, default: &str| {
        Some(wanted.or(current.as_ref()).map_or(default, String::as_str).to_owned())
    };
    Ok((kept(wanted.path.as_ref(), &current.path, "/"), kept(codes, &current.matcher, "200-399")))
}

/// The path becomes a part of a request's first line: nothing may end it early.
fn check_path(path: &str) -> Result<(), Fault> {
    let refused = |why: String| {
        Err(Fault::validation(format!(
            "HealthCheckPath {why}: allowed are up to {LONGEST_PATH} printable ASCII characters without spaces, the \
             first of them a slash"
        )))
    };
    let count = path.chars().count();
    if count > LONGEST_PATH {
        return refused(format!("has {count} characters"));
    }
    if let Some(other) = path.chars().find(|char| !char.is_ascii_graphic()) {
        return refused(format!("has `{}`", other.escape_debug()));
    }
    match path.starts_with('/') {
        true => Ok(()),
        false => refused(format!("is `{path}`")),
    }
}

/// The codes that a matcher stands for: `200`, `200,202`, `200-399`. `None` if it is none.
pub fn codes(matcher: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|code| digits && CODES.contains(code))
    };
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = code(first)?..=code(last)?;
        (!range.is_empty()).then_some(range)
    };
    matcher.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    fn settle(edit: impl Fn(&mut Wanted)) -> Result<HealthCheck, Fault> {
        let mut wanted = Wanted::default();
        edit(&mut wanted);
        settled(&wanted, TargetType::Ip)
    }

    fn with(protocol: &str) -> Wanted {
        Wanted { protocol: Some(protocol.into()), ..Wanted::default() }
    }

    fn http_code(code: &str) -> Option<Matcher> {
        Some(Matcher { http_code: Some(code.into()), grpc_code: None })
    }

    #[track_caller]
    fn refused(code: Code, result: Result<HealthCheck, Fault>) {
        assert_eq!(result.unwrap_err().code, code);
    }

    #[test]
    fn defaults() {
        let tcp = HealthCheck {
            protocol: HealthProtocol::Tcp,
            port: None,
            path: None,
            matcher: None,
            interval_s: 30,
            timeout_s: 10,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
        };
        let (path, matcher) = (Some("/".to_owned()), Some("200-399".to_owned()));
        let https = HealthCheck { protocol: HealthProtocol::Https, path, matcher, ..tcp.clone() };
        let http = HealthCheck { protocol: HealthProtocol::Http, timeout_s: 6, ..https.clone() };
        for target_type in [TargetType::Instance, TargetType::Ip] {
            assert_eq!(settled(&Wanted::default(), target_type), Ok(tcp.clone()));
            assert_eq!(settled(&with("TCP"), target_type), Ok(tcp.clone()));
        }
        assert_eq!(settled(&Wanted::default(), TargetType::Alb), Ok(http.clone()));
        for target_type in [TargetType::Instance, TargetType::Ip, TargetType::Alb] {
            assert_eq!(settled(&with("HTTP"), target_type), Ok(http.clone()));
            assert_eq!(settled(&with("HTTPS"), target_type), Ok(https.clone()));
        }
    }

    #[test]
    fn ranges() {
        for (interval, timeout) in [(5, 5), (5, 2), (300, 120), (300, 2), (120, 120)] {
            let settled = settle(|wanted| {
                wanted.interval_s = Some(interval);
                wanted.timeout_s = Some(timeout);
            })
            .unwrap();
            assert_eq!((i64::from(settled.interval_s), i64::from(settled.timeout_s)), (interval, timeout));
        }
        for count in [2, 10] {
            let healthy = settle(|wanted| wanted.healthy_threshold = Some(count)).unwrap();
            let unhealthy = settle(|wanted| wanted.unhealthy_threshold = Some(count)).unwrap();
            assert_eq!((i64::from(healthy.healthy_threshold), healthy.unhealthy_threshold), (count, 2));
            assert_eq!((unhealthy.healthy_threshold, i64::from(unhealthy.unhealthy_threshold)), (5, count));
        }
        for interval in [i64::MIN, -30, 0, 4, 301, 65566, i64::MAX] {
            refused(Code::ValidationError, settle(|wanted| wanted.interval_s = Some(interval)));
        }
        for timeout in [i64::MIN, -2, 0, 1, 121, i64::MAX] {
            let edit = |wanted: &mut Wanted| {
                wanted.interval_s = Some(300);
                wanted.timeout_s = Some(timeout);
            };
            refused(Code::ValidationError, settle(edit));
        }
        for count in [i64::MIN, -2, 0, 1, 11, 258, i64::MAX] {
            refused(Code::ValidationError, settle(|wanted| wanted.healthy_threshold = Some(count)));
            refused(Code::ValidationError, settle(|wanted| wanted.unhealthy_threshold = Some(count)));
        }
    }

    #[test]
    fn a_check_is_over_when_the_next_begins() {
        let both = |timeout_s: i64, interval_s: i64| {
            settle(|wanted| (wanted.timeout_s, wanted.interval_s) = (Some(timeout_s), Some(interval_s)))
        };
        refused(Code::ValidationError, both(31, 30));
        assert!(both(30, 30).is_ok());
        // Nobody is refused over a default.
        assert!(settle(|wanted| wanted.timeout_s = Some(31)).is_ok());
        assert!(settle(|wanted| wanted.interval_s = Some(5)).is_ok());
        // Settings of old that break the rule stand in nobody's way.
        let odd = HealthCheck { timeout_s: 120, ..settle(|_| {}).unwrap() };
        assert_eq!(changed(&odd, &Wanted::default(), TargetType::Ip), Ok(odd.clone()));
        let wanted = Wanted { healthy_threshold: Some(3), ..Wanted::default() };
        assert!(changed(&odd, &wanted, TargetType::Ip).is_ok());
    }

    #[test]
    fn protocols() {
        for other in ["", "tcp", "UDP", "TCP_UDP", "TLS", "GENEVE", "FTP"] {
            refused(Code::ValidationError, settled(&with(other), TargetType::Ip));
        }
        refused(Code::InvalidConfigurationRequest, settled(&with("TCP"), TargetType::Alb));
        refused(Code::InvalidConfigurationRequest, settle(|wanted| wanted.enabled = Some(false)));
        assert!(settle(|wanted| wanted.enabled = Some(true)).is_ok());
    }

    #[test]
    fn ports() {
        let port = |text: &str| settle(|wanted| wanted.port = Some(text.into())).map(|settled| settled.port);
        assert_eq!(port("traffic-port"), Ok(None));
        assert_eq!(port("1"), Ok(Some(1)));
        assert_eq!(port("65535"), Ok(Some(65535)));
        for text in ["", "0", "65536", "-1", "+80", " 80", "80.0", "traffic", "Traffic-Port"] {
            assert_eq!(port(text).unwrap_err().code, Code::ValidationError, "{text}");
        }
    }

    #[test]
    fn paths() {
        let path = |text: &str| settled(&Wanted { path: Some(text.into()), ..with("HTTP") }, TargetType::Ip);
        let longest = format!("/{}", "a".repeat(1023));
        for text in ["/", "/health?deep=1&x=%20", &longest] {
            assert_eq!(path(text).unwrap().path.as_deref(), Some(text));
        }
        for text in ["", "health", "/a b", "/a\r\nHost: x", "/ä", "/\0", &format!("{longest}a")] {
            refused(Code::ValidationError, path(text));
        }
        refused(Code::InvalidConfigurationRequest, settle(|wanted| wanted.path = Some("/".into())));
    }

    #[test]
    fn matchers() {
        let matcher = |text: &str| settled(&Wanted { matcher: http_code(text), ..with("HTTPS") }, TargetType::Ip);
        for text in ["200", "599", "200,202", "200-399", "200-599", "200-200", "200-299,404", "200,200"] {
            assert_eq!(matcher(text).unwrap().matcher.as_deref(), Some(text));
        }
        for text in [
            "",
            "199",
            "600",
            "199-300",
            "200-600",
            "399-200",
            "200,",
            ",200",
            "200, 202",
            "200-",
            "-399",
            "2xx",
            "0200",
            "20",
            "200-300-400",
        ] {
            refused(Code::ValidationError, matcher(text));
        }
        assert_eq!(codes("200,300-302"), Some(vec![200..=200, 300..=302]));
        let grpc = Some(Matcher { http_code: None, grpc_code: Some("12".into()) });
        refused(Code::InvalidConfigurationRequest, settled(&Wanted { matcher: grpc, ..with("HTTP") }, TargetType::Ip));
        refused(Code::InvalidConfigurationRequest, settle(|wanted| wanted.matcher = http_code("200")));
        assert!(settle(|wanted| wanted.matcher = Some(Matcher::default())).is_ok());
    }

    #[test]
    fn changes() {
        let change = |current: &HealthCheck, wanted: Wanted| changed(current, &wanted, TargetType::Ip).unwrap();
        let tcp = settle(|wanted| wanted.port = Some("81".into())).unwrap();
        let http = change(&tcp, Wanted { path: Some("/up".into()), ..with("HTTP") });
        assert_eq!((http.path.as_deref(), http.matcher.as_deref()), (Some("/up"), Some("200-399")));
        assert_eq!((http.port, http.timeout_s), (Some(81), 10));
        let https = change(&http, with("HTTPS"));
        assert_eq!(https, HealthCheck { protocol: HealthProtocol::Https, ..http.clone() });
        assert_eq!(change(&https, with("TCP")), tcp);
        let back = change(&https, Wanted { port: Some(TRAFFIC_PORT.into()), ..Wanted::default() });
        assert_eq!(back, HealthCheck { port: None, ..https });
        assert_eq!(change(&http, Wanted::default()), http);
    }
}
