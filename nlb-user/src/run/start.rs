//! The start of a controller, in order: the machine is looked at, the node locked, the maps made or taken over and
//! brought to the desired state, the program attached, the addresses claimed.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use nlb_common::hash::Secret;
use tracing::{error, info, warn};

use super::{
    Options,
    addresses::Addresses,
    controller::{ChangeError, Controller, Settings},
    doors::Doors,
    jobs::Jobs,
    notify::notify,
    plane::Plane,
    serve::{Files, Loop, Signals},
    sweeper,
};
use crate::{
    cli::{failure, inspect::interface_name, output::grouped},
    control::Request,
    dataplane::{self, AttachedLink, Dataplane, FlowTables, Origin, Pins, Removed, XdpMode, memory_bytes, ports},
    net::{Interface, Net, Severity, preflight, privileges},
    node::Node,
    reconcile::Maps,
    store::{SqliteStore, Store as _},
};

/// Starts the controller and runs it to its end.
pub(super) async fn start(options: Options, desired: Option<Request>) -> Result<()> {
    if !options.dataplane {
        return without_plane(&options, desired).await;
    }
    privileges().map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let net = Net::open().await?;
    let mut interfaces = Vec::new();
    for name in &options.interfaces {
        interfaces.push(net.interface(name).await?);
    }
    let node = &options.node;
    let pins = Pins::new(&node.bpffs);
    let _lock = pins.lock()?;
    look_ahead(&interfaces)?;
    let store = SqliteStore::open(&node.state_dir)?;
    let doors = Doors::bind(&options).await?;
    let (dataplane, origin) =
        Dataplane::start(&pins, &dataplane::Options { max_flows: node.max_flows, fresh: options.fresh })?;
    let created = origin == Origin::Created;
    let outcome = with_plane(&options, desired, store, doors, net, interfaces, dataplane, created).await;
    if let Err(error) = outcome {
        // Nothing of a start that failed stays behind.
        if created && let Err(error) = Dataplane::remove(&pins) {
            error!("{}", failure::text(&error));
        }
        return Err(error);
    }
    if options.detach_on_exit {
        info!("{}", told(&Dataplane::remove(&pins)?));
    } else {
        info!("the data plane goes on forwarding; `nlb run --detach` removes it");
    }
    Ok(())
}

/// Serves API and commands, and forwards nothing.
async fn without_plane(options: &Options, desired: Option<Request>) -> Result<()> {
    let mut store = SqliteStore::open(&options.node.state_dir)?;
    let doors = Doors::bind(options).await?;
    let secret = store.secret(None)?;
    let mut controller = Controller::new(store, secret, Settings::of(&options.node), None)?;
    desire(&mut controller, None, desired.as_ref())?;
    warn!("--no-dataplane: nothing is forwarded, targets stay `initial`");
    let signals = Signals::receive()?;
    serve(options, controller, None, doors, signals).await
}

/// Brings the data plane to the desired state, attaches it, and serves.
#[expect(clippy::too_many_arguments, reason = "what start has made, each owned from here on")]
async fn with_plane(
    options: &Options,
    desired: Option<Request>,
    mut store: SqliteStore,
    doors: Doors,
    net: Net,
    interfaces: Vec<Interface>,
    mut dataplane: Dataplane,
    created: bool,
) -> Result<()> {
    let node = &options.node;
    let actual = dataplane.maps().read()?;
    tell_origin(node, created, dataplane.max_flows());
    // The maps' secret has chosen the targets so far: a store that is new takes it over. There is none if their
    // controller died before it wrote one.
    let inherited = Some(actual.node.secret).filter(|secret| !created && *secret != Secret::default());
    let secret = store.secret(inherited)?;
    let served = actual.vips.len();
    let addresses = Addresses::inherited(actual.vips.into_keys().map(IpAddr::from));
    let mut controller = Controller::new(store, secret, Settings::of(node), Some(addresses))?;
    if controller.is_new() && desired.is_none() && served > 0 {
        bail!(
            "the maps at {} serve {served} addresses, but {} holds no desired state, and without one all would be \
             removed: give the file with --apply, name the right --state, or begin with --fresh",
            node.bpffs.display(),
            node.state_dir.display()
        );
    }
    let attached_before = Pins::new(&node.bpffs).links()?;
    let begun = match attach(options, &interfaces, &mut dataplane) {
        Ok(()) => desire(&mut controller, Some(dataplane.maps()), desired.as_ref()).map_err(Into::into),
        Err(error) => Err(error),
    };
    if let Err(error) = begun {
        // Of a start that failed, only what an earlier controller had attached stays.
        dataplane.detach_others(&attached_before)?;
        return Err(error);
    }
    let named: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
    for link in dataplane.detach_others(&named)? {
        info!("{}: detached, as it is not among the interfaces any more", told_link(&link));
    }
    refresh_ports(&mut dataplane)?;
    let sweeps = sweeper::start(FlowTables::open(&Pins::new(&node.bpffs))?)?;
    // Before anybody can see that we are here.
    let signals = Signals::receive()?;
    let plane = Plane::new(dataplane, Jobs::new(net, interfaces), sweeps);
    serve(options, controller, Some(plane), doors, signals).await
}

/// Opens the doors and runs the loop.
async fn serve(
    options: &Options,
    controller: Controller<SqliteStore>,
    plane: Option<Plane>,
    doors: Doors,
    signals: Signals,
) -> Result<()> {
    let node = &options.node;
    let files = Files { node: options.node_file.clone(), desired: options.apply.clone() };
    let mut serving = Loop::new(controller, plane, files, doors.on_reload());
    serving.prepare().await;
    let (open, calls) = doors.open(node, serving.view())?;
    info!("ready: zone {}, commands at {}", node.zone, node.socket.display());
    notify("READY=1");
    serving.run(calls, signals).await;
    notify("STOPPING=1");
    open.close().await;
    if options.detach_on_exit {
        serving.release().await;
    }
    Ok(())
}

/// Attaches the program to all interfaces, or puts it in the place of an earlier one.
fn attach(options: &Options, interfaces: &[Interface], dataplane: &mut Dataplane) -> Result<()> {
    for interface in interfaces {
        if interface.kind.as_deref() == Some("veth") && options.mode == XdpMode::Native {
            dataplane.return_by_redirect(interface.index)?;
        }
        let attached = dataplane.attach(&interface.name, interface.index, options.mode)?;
        let how = if attached.replaced { "program replaced" } else { "attached" };
        info!("{}: {how}, {} mode", interface.name, attached.mode);
    }
    Ok(())
}

/// Makes the file, or else the stored state, what the maps say.
fn desire(
    controller: &mut Controller<SqliteStore>,
    maps: Option<&mut dyn Maps>,
    request: Option<&Request>,
) -> Result<(), ChangeError> {
    let Some(request) = request else {
        maps.map_or(Ok(0), |maps| controller.reconcile(maps))?;
        return Ok(());
    };
    let (new, _) = controller.after(request)?;
    let applied = controller.change(maps, new, false)?;
    applied.warnings.iter().for_each(|warning| warn!("{warning}"));
    Ok(())
}

/// What was removed, in words.
pub(super) fn told(removed: &Removed) -> String {
    if removed.is_empty() {
        return "nothing was attached or pinned".to_owned();
    }
    let links: Vec<String> = removed.links.iter().map(told_link).collect();
    let links = if links.is_empty() { "no interface".to_owned() } else { links.join(", ") };
    format!("detached from {links}; {} maps and programs removed", removed.pins)
}

fn told_link(link: &AttachedLink) -> String {
    link.interface.clone().unwrap_or_else(|| interface_name(link.ifindex))
}

fn tell_origin(node: &Node, created: bool, capacity: u32) {
    let (at, flows, memory) = (node.bpffs.display(), grouped(capacity.into()), memory_bytes(capacity) >> 20);
    match created {
        true => info!("maps created at {at}: room for {flows} flows of a kind, about {memory} MiB"),
        false => info!("maps at {at} taken over, flows and all: room for {flows} of a kind, about {memory} MiB"),
    }
    if capacity != node.max_flows {
        let wanted = grouped(node.max_flows.into());
        warn!("max_flows is {wanted}, but the maps were made for {flows}: --fresh makes them anew and drops all flows");
    }
}

/// Tells the program which ports the host's own sockets have.
pub(super) fn refresh_ports(dataplane: &mut Dataplane) -> Result<()> {
    let ports = ports::in_use().context("cannot read the host's own sockets in /proc/net")?;
    dataplane.maps().set_ports_in_use(&ports)?;
    Ok(())
}

/// Says what is wrong with the machine.
fn look_ahead(interfaces: &[Interface]) -> Result<()> {
    let findings = preflight(interfaces);
    findings.iter().filter(|it| it.severity == Severity::Warning).for_each(|it| warn!("preflight: {it}"));
    let errors: Vec<String> =
        findings.iter().filter(|it| it.severity == Severity::Error).map(ToString::to_string).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
    info!("preflight: nothing stands in the way");
    Ok(())
}
