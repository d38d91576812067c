//! Requests that nobody would send: calls that are right but for a few changes, and bytes that never were a call.
//!
//! Whatever comes in, there is no panic and no 500, the answer is XML that can be read, and a refusal changes nothing. The
//! number of requests grows with `PROPTEST_CASES`; a failure names its seed, and `NLB_FUZZ_SEED` starts from it again.

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    fake::{Memory, Reply, Wire, exchange, read_reply, start},
    query::{self, Pair},
    xml, *,
};
use crate::model::{Protocol, State};

/// Requests of a run unless `PROPTEST_CASES` asks for more: nine of ten through decoding, operation and XML, the tenth
/// over HTTP too.
const CASES: u32 = 20_000;
/// Requests after which everything starts from the first state again.
const ROUND: u32 = 40;

const SEED: u64 = 0x6e6c_6266_757a_7a31;

/// Calls that are right, but for those with `?`. `{...}` stands for a resource of the state at hand.
const CALLS: &[&str] = &[
    "CreateLoadBalancer&Name=fuzz&Type=network&Subnets.member.1=subnet-a&Subnets.member.2=subnet-b",
    "CreateLoadBalancer&Name=elastic&SubnetMappings.member.1.SubnetId=subnet-a&SubnetMappings.member.1.AllocationId=eipalloc-1",
    "CreateLoadBalancer&Name=inner&Scheme=internal&SubnetMappings.member.1.SubnetId=subnet-a&\
     SubnetMappings.member.1.PrivateIPv4Address=10.0.1.99&Tags.member.1.Key=a&Tags.member.1.Value=b",
    "CreateLoadBalancer&Name=dual&IpAddressType=dualstack&Subnets.member.1=subnet-a&SecurityGroups.member.1=sg-1",
    "DescribeLoadBalancers&Names.member.1=web&PageSize=1",
    "DescribeLoadBalancers&LoadBalancerArns.member.1={lb}&Marker=",
    "DescribeLoadBalancerAttributes&LoadBalancerArn={lb}",
    "ModifyLoadBalancerAttributes&LoadBalancerArn={lb}&Attributes.member.1.Key=deletion_protection.enabled&\
     Attributes.member.1.Value=false",
    "SetSubnets&LoadBalancerArn={lb}&Subnets.member.1=subnet-a&Subnets.member.2=subnet-b&Subnets.member.3=subnet-c",
    "SetIpAddressType&LoadBalancerArn={lb}&IpAddressType=ipv4",
    "SetSecurityGroups&LoadBalancerArn={lb}&SecurityGroups.member.1=sg-2",
    "DeleteLoadBalancer&LoadBalancerArn={lb}",
    "CreateTargetGroup&Name=fuzz&Protocol=TCP&Port=80&VpcId=vpc-1&HealthCheckProtocol=HTTP&HealthCheckPath=/&\
     HealthCheckPort=traffic-port&HealthCheckIntervalSeconds=30&HealthCheckTimeoutSeconds=6&HealthyThresholdCount=3&\
     UnhealthyThresholdCount=3&Matcher.HttpCode=200-399&HealthCheckEnabled=true",
    "CreateTargetGroup&Name=six&Protocol=TCP&Port=80&VpcId=vpc-1&TargetType=ip&IpAddressType=ipv6",
    "CreateTargetGroup&Name=alb&Protocol=TCP&Port=80&VpcId=vpc-1&TargetType=alb",
    "DescribeTargetGroups&TargetGroupArns.member.1={tg}",
    "DescribeTargetGroups&PageSize=2",
    "ModifyTargetGroup&TargetGroupArn={tg}&HealthCheckPort=81&HealthyThresholdCount=2",
    "DescribeTargetGroupAttributes&TargetGroupArn={tg}",
    "ModifyTargetGroupAttributes&TargetGroupArn={tg}&Attributes.member.1.Key=deregistration_delay.timeout_seconds&\
     Attributes.member.1.Value=60&Attributes.member.2.Key=stickiness.enabled&Attributes.member.2.Value=true",
    "DeleteTargetGroup&TargetGroupArn={spare}",
    "RegisterTargets&TargetGroupArn={tg}&Targets.member.1.Id=10.0.1.22&Targets.member.2.Id=10.0.2.22&\
     Targets.member.2.Port=8080",
    "DeregisterTargets&TargetGroupArn={tg}&Targets.member.1.Id=10.0.1.21",
    "DescribeTargetHealth&TargetGroupArn={tg}&Targets.member.1.Id=10.0.1.21&Targets.member.1.Port=80",
    "CreateListener&LoadBalancerArn={lb}&Protocol=TCP&Port=81&DefaultActions.member.1.Type=forward&\
     DefaultActions.member.1.TargetGroupArn={spare}",
    "CreateListener&LoadBalancerArn={lb}&Protocol=TLS&Port=8443&DefaultActions.member.1.Type=forward&\
     DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn={spare}&SslPolicy=ELBSecurityPolicy-2016-08&\
     Certificates.member.1.CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/1&AlpnPolicy.member.1=HTTP2Only",
    "DescribeListeners&LoadBalancerArn={lb}",
    "DescribeListeners&ListenerArns.member.1={listener}",
    "ModifyListener&ListenerArn={listener}&Port=82",
    "DescribeListenerAttributes&ListenerArn={listener}",
    "ModifyListenerAttributes&ListenerArn={listener}&Attributes.member.1.Key=tcp.idle_timeout.seconds&\
     Attributes.member.1.Value=60",
    "DeleteListener&ListenerArn={listener}",
    "DescribeRules&ListenerArn={listener}",
    "DescribeRules&RuleArns.member.1={rule}",
    "AddListenerCertificates&ListenerArn={tls}&\
     Certificates.member.1.CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/2",
    "RemoveListenerCertificates&ListenerArn={tls}&\
     Certificates.member.1.CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/2",
    "DescribeListenerCertificates&ListenerArn={tls}&PageSize=1",
    "DescribeSSLPolicies&Names.member.1=ELBSecurityPolicy-2016-08&LoadBalancerType=network",
    "DescribeAccountLimits&PageSize=3",
    "AddTags&ResourceArns.member.1={lb}&ResourceArns.member.2={tg}&Tags.member.1.Key=env&Tags.member.1.Value=test",
    "RemoveTags&ResourceArns.member.1={tg}&TagKeys.member.1=env",
    "DescribeTags&ResourceArns.member.1={lb}&ResourceArns.member.2={listener}&ResourceArns.member.3={tg}",
    "?CreateRule&ListenerArn={listener}&Priority=1",
    "?DescribeTrustStores&PageSize=1",
    "?StartZonalShift&LoadBalancerArn={lb}",
];

/// Values that are wrong nearly everywhere, and right somewhere.
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "1",
    "-1",
    "00",
    "+5",
    "5.0",
    "1e9",
    "65535",
    "65536",
    "401",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999",
    "NaN",
    "null",
    "true",
    "True",
    "false",
    "on",
    "[]",
    "{}",
    "a",
    "web",
    "internal-web",
    "-web",
    "web-",
    "w_b",
    "größe",
    "\u{202e}abc",
    "\0",
    "a\0b",
    "\r\n",
    "<xml>&amp;]]>",
    "\u{fffe}",
    "😀😀",
    "'; DROP TABLE records; --",
    "../../etc/passwd",
    "%n%s",
    "%2e%2e",
    "TCP",
    "tcp",
    "UDP",
    "TCP_UDP",
    "TLS",
    "HTTP",
    "HTTPS",
    "GENEVE",
    "QUIC",
    "application",
    "gateway",
    "network",
    "internet-facing",
    "internal",
    "ipv4",
    "ipv6",
    "dualstack",
    "instance",
    "ip",
    "alb",
    "lambda",
    "subnet-a",
    "subnet-a2",
    "subnet-x",
    "subnet-28",
    "subnet-none",
    "vpc-1",
    "vpc-2",
    "sg-1",
    "sg-x",
    "eipalloc-1",
    "eipalloc-9",
    "i-a1",
    "i-x1",
    "i-stopped",
    "i-none",
    "10.0.1.21",
    "10.0.1.1",
    "10.9.1.21",
    "10.0.1.300",
    "0.0.0.0",
    "255.255.255.255",
    "127.0.0.1",
    "224.0.0.1",
    "::",
    "::1",
    "2001:db8:1:1::5",
    "::ffff:10.0.1.21",
    "2001:db8::/64",
    "us-east-1a",
    "us-east-1z",
    "all",
    "forward",
    "redirect",
    "traffic-port",
    "/",
    "/a b",
    "200",
    "200-599",
    "599-200",
    "200,",
    "100",
    "ELBSecurityPolicy-2016-08",
    "ELBSecurityPolicy-none",
    "HTTP2Only",
    "None",
    "deletion_protection.enabled",
    "load_balancing.cross_zone.enabled",
    "preserve_client_ip.enabled",
    "stickiness.type",
    "source_ip",
    "use_load_balancer_configuration",
    "access_logs.s3.enabled",
    "aws:tag",
    "key:with spaces",
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/none/0123456789abcdef",
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1111111111111111",
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/none/0123456789abcdef",
    "arn:aws:elasticloadbalancing:::listener/net/a/b/c",
    "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "arn:::::::::",
    "{lb}",
    "{tg}",
    "{listener}",
    "{rule}",
];

/// Names of parameters that some operation has, or none.
const NAMES: &[&str] = &[
    "Name",
    "Names.member.1",
    "Type",
    "Scheme",
    "Port",
    "Protocol",
    "VpcId",
    "Subnets.member.1",
    "Subnets",
    "Tags.member.1.Key",
    "Tags",
    "TargetType",
    "PageSize",
    "Marker",
    "LoadBalancerArn",
    "TargetGroupArn",
    "ListenerArn",
    "IpAddressType",
    "Matcher",
    "Matcher.GrpcCode",
    "DefaultActions.member.1.Type",
    "DefaultActions.member.2.Type",
    "DefaultActions.member.1.Order",
    "DefaultActions.member.1.ForwardConfig.TargetGroupStickinessConfig.Enabled",
    "Targets.member.1.AvailabilityZone",
    "Certificates.member.1.IsDefault",
    "MutualAuthentication.Mode",
    "CustomerOwnedIpv4Pool",
    "IpamPools.Ipv4IpamPoolId",
    "EnablePrefixForIpv6SourceNat",
    "SubnetMappings.member.1.IPv6Address",
    "ProtocolVersion",
    "member",
    "member.1",
    "a",
    "A.B.C",
];

/// Numbers that are the same in every run from the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let sides = u64::try_from(sides.max(1)).unwrap();
        usize::try_from((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % sides).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

fn seed() -> u64 {
    let seed = std::env::var("NLB_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    println!("NLB_FUZZ_SEED={seed}");
    seed | 1
}

fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    // As many times more as properties get more than their 256 cases.
    CASES * (asked.unwrap_or(0) / 256).max(1)
}

/// A call with the resources of this state.
fn right(call: &str, state: &State) -> Vec<Pair> {
    let group = |name| state.target_group_named(name).or(state.target_groups.values().next()).map(|group| &group.arn);
    let listener = |protocol| {
        let found = state.listeners.values().find(|listener| listener.protocol == protocol);
        found.or(state.listeners.values().next())
    };
    let mut call = call.to_owned();
    for (name, arn) in [
        ("{lb}", state.load_balancers.keys().next()),
        ("{tg}", group("web")),
        ("{spare}", group("spare")),
        ("{listener}", listener(Protocol::Tcp).map(|listener| &listener.arn)),
        ("{rule}", listener(Protocol::Tcp).map(|listener| &listener.default_rule)),
        ("{tls}", listener(Protocol::Tls).map(|listener| &listener.arn)),
    ] {
        call = call.replace(name, arn.map_or("arn:none", |arn| arn.as_str()));
    }
    let pairs = format!("Action={call}&Version=2015-12-01");
    pairs
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Changes a call a little.
fn change(pairs: &mut Vec<Pair>, dice: &mut Dice, state: &State) {
    let at = dice.roll(pairs.len());
    let other = dice.roll(pairs.len());
    let value = |dice: &mut Dice| match dice.roll(20) {
        0 => "x".repeat(1 << dice.roll(12)),
        1 => format!("{}", dice.roll(70_000)),
        _ => right(&format!("X&V={}", dice.pick(VALUES).replace('&', "+")), state).remove(1).1,
    };
    match dice.roll(14) {
        0 if pairs.len() > 1 => drop(pairs.remove(at)),
        1 => pairs.push(pairs[at].clone()),
        2 => pairs[at].1 = pairs[other].1.clone(),
        3 => pairs[at].0 = pairs[other].0.clone(),
        4 => pairs.swap(at, other),
        5 => pairs[at].0 += dice.pick(&[".member.1", ".member.0", ".x", ".", ".member", ".member.2.Id"]),
        6 => pairs[at].0 = pairs[at].0.replace(".1", dice.pick(&[".2", ".0", ".99999", ".01", ".", ""])),
        7 => pairs.push((dice.pick(NAMES).into(), value(dice))),
        8 => pairs[at].0 = dice.pick(NAMES).into(),
        9 => pairs[0].1 = dice.pick(CALLS).trim_start_matches('?').split('&').next().unwrap().into(),
        10 => {
            let list = pairs[at].0.split(".1").next().unwrap().to_owned();
            for number in 1..dice.roll(40) {
                pairs.push((format!("{list}.{number}"), value(dice)));
            }
        }
        _ => pairs[at].1 = value(dice),
    }
}

fn form(pairs: &[Pair]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A call with a few changes, or with none.
fn call(dice: &mut Dice, state: &State) -> Vec<Pair> {
    let mut pairs = right(dice.pick(CALLS).trim_start_matches('?'), state);
    for _ in 0..[0, 1, 1, 1, 2, 3][dice.roll(6)] {
        change(&mut pairs, dice, state);
    }
    pairs
}

/// Changes bytes.
fn scramble(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(6) {
            0 if !bytes.is_empty() => drop(bytes.remove(at)),
            1 => bytes.insert(at, u8::try_from(dice.roll(256)).unwrap()),
            2 => bytes.truncate(at),
            3 => bytes.extend_from_within(at..),
            _ if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            _ => {}
        }
    }
}

/// That an answer is what it may be, and that a refusal changed nothing.
fn judge(reply: &Reply, before: &State, after: &State) {
    assert!(reply.status < 500, "{reply:?}");
    if reply.status == 200 {
        assert!(reply.xml().name.ends_with("Response"), "{reply:?}");
    } else {
        assert!(!reply.code().is_empty());
        assert!(before == after, "refused, and changed all the same: {reply:?}");
    }
}

/// That a state can be written down and read again.
fn assert_storable(state: &State) {
    let changes = State::default().changes_to(state);
    let records = changes.into_iter().map(|change| (change.key, change.value.unwrap())).collect();
    assert!(State::from_records(&records).unwrap() == *state);
}

/// What the server does with a form that is signed, without HTTP around it.
fn decode_and_run(memory: &Memory, form: &[u8]) -> Reply {
    let call = query::pairs(form).and_then(query::call);
    let result = call.and_then(|call| Ok((memory.run(&call.action, &call.input)?, call.action)));
    let (status, body) = match result {
        Ok((answer, action)) => (200, xml::answer(&action, &answer.output, "id")),
        Err(fault) => {
            let status = fault.code.status();
            (status, xml::error(status, fault.code.as_str(), &fault.message, "id"))
        }
    };
    Reply { status, headers: "HTTP/1.1 200 OK\r\nx-amzn-requestid: id\r\n".into(), body }
}

/// The calls to begin with are right: what is refused afterwards is refused for what was changed.
#[test]
fn calls_to_begin_with() {
    for call in CALLS {
        let memory = Memory::populated();
        let right = right(call.trim_start_matches('?'), &memory.state());
        let reply = decode_and_run(&memory, form(&right).as_bytes());
        let told = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status == 200, !call.starts_with('?'), "{call}: {told}");
    }
}

#[test]
fn decoded_calls() {
    let mut dice = Dice(seed());
    let (mut done, mut refused) = (0, 0);
    let memory = Memory::populated();
    let first = memory.state();
    for case in 0..cases() / 10 * 9 {
        if case % ROUND == 0 {
            assert_storable(&memory.state());
            memory.reset(&first);
        }
        let before = memory.state();
        let seed = dice.0;
        let mut form = form(&call(&mut dice, &before)).into_bytes();
        if dice.roll(10) == 0 {
            scramble(&mut form, &mut dice);
        }
        let told = format!("NLB_FUZZ_SEED={seed}: {}", String::from_utf8_lossy(&form));
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let reply = decode_and_run(&memory, &form);
            judge(&reply, &before, &memory.state());
            reply.status == 200
        }));
        match judged {
            Ok(true) => done += 1,
            Ok(false) => refused += 1,
            Err(panic) => {
                println!("{told}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{done} calls were carried out, {refused} refused");
    // A fuzzer that only gets refusals, or none, looks at nothing.
    assert!(done > refused / 10 && refused > done / 10, "{done} {refused}");
}

/// Whole requests: signed ones, and ones that were changed after they were signed.
#[tokio::test]
async fn requests() {
    let mut dice = Dice(seed());
    let memory = Memory::populated();
    let first = memory.state();
    let server = start(memory.clone(), Limits::default(), None).await;
    let address = server.addresses()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    for case in 0..cases() / 10 {
        if case % ROUND == 0 {
            memory.reset(&first);
        }
        let before = memory.state();
        println!("NLB_FUZZ_SEED={}", dice.0);
        let form = form(&call(&mut dice, &before));
        let wire = if dice.roll(4) == 0 && form.len() < 8000 { Wire::get(&form) } else { Wire::post(&form) };
        let mut wire = wire.signed();
        if dice.roll(4) == 0 {
            let header = dice.roll(wire.headers.len());
            let mut value = wire.headers[header].1.clone().into_bytes();
            scramble(&mut value, &mut dice);
            value.retain(|byte| (b' '..=b'~').contains(byte));
            wire.headers[header].1 = String::from_utf8(value).unwrap();
        }
        if dice.roll(8) == 0 {
            scramble(&mut wire.body, &mut dice);
        }
        let reply = match exchange(&mut stream, &wire.bytes()).await {
            Some(reply) => reply,
            None => panic!("no answer to {wire:?}"),
        };
        judge(&reply, &before, &memory.state());
    }
}

/// Bytes that are hardly HTTP any more: whatever becomes of them, the next client is served.
#[tokio::test]
async fn bytes() {
    let mut dice = Dice(seed());
    let memory = Memory::populated();
    let server = start(memory.clone(), Limits::default(), None).await;
    let address = server.addresses()[0];
    let unsigned = Wire::post("Action=DescribeTags").header("host", "x");
    for _ in 0..cases() / 100 {
        let before = memory.state();
        println!("NLB_FUZZ_SEED={}", dice.0);
        let mut bytes = Wire::post(&form(&call(&mut dice, &before))).signed().bytes();
        scramble(&mut bytes, &mut dice);
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may have been answered, and ended, before all was sent.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        while let Some(reply) = read_reply(&mut stream).await {
            assert!(reply.status < 500, "{reply:?}");
        }
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let reply = exchange(&mut stream, &unsigned.bytes()).await.unwrap();
    assert_eq!(reply.code(), "MissingAuthenticationToken");
}
