//! What belongs to the node and not to the load balancers: `node.toml`.
//!
//! Every key has a default, so the file is optional. Every command reads it, to find the same node; only the
//! controller reads the secrets that it names ([`Node::keys`]). To pick up changes is to load it again.

pub mod certificates;
mod error;
mod inventory;
mod keys;
mod rules;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

pub use error::NodeError;
pub use keys::{Key, KeyRing, private};
pub use rules::{AUDIT_BYTES, AUDIT_KEEP, MAX_FLOWS};

use crate::{
    audit,
    model::{
        Account, ApplicationLoadBalancer, Certificate, ElasticIp, Instance, Inventory, Quotas, SecurityGroup, Subnet,
    },
    ops,
};
use inventory::{Sections, Source};

/// Where the file is looked for if `--config` names none.
pub const DEFAULT_FILE: &str = "/etc/nlb/node.toml";

/// The node's own settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The zone that the node belongs to: 1 to 32 of `a-z`, `0-9` and `-`.
    pub zone: String,
    /// The directory, on a BPF file system, in which maps, programs and links are pinned.
    pub bpffs: PathBuf,
    /// The unix socket of the controller.
    pub socket: PathBuf,
    /// The directory of the stored desired state and of the node's secret.
    pub state_dir: PathBuf,
    /// How many flows of a kind (TCP established, TCP half-open, UDP) are remembered at once. Read when the maps are
    /// created; 1024 to 16777216.
    pub max_flows: u32,
    /// The region in ARNs and names: 1 to 32 of `a-z`, `0-9` and `-`.
    pub region: String,
    /// The account in ARNs: 12 digits.
    pub account_id: String,
    /// Where and how the API is served.
    pub api: Api,
    /// How many of each resource there may be.
    pub quotas: Quotas,
    /// The log of API calls.
    pub audit: Audit,
    inventory: Inventory,
    keys: KeySource,
}

/// Where and how the API is served: `[api]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Addresses and ports. None: it is not served but on the unix socket.
    #[serde(deserialize_with = "rules::addresses")]
    pub listen: Vec<SocketAddr>,
    /// The server's certificate and its chain, PEM. With it, TLS is spoken.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Whether addresses other than loopback may be served without TLS.
    pub allow_plain_http: bool,
}

/// The log of API calls: `[audit]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// The file; by default `audit.log` in the state directory.
    pub file: Option<PathBuf>,
    /// A file that is larger is put aside and a new one begun.
    #[serde(deserialize_with = "rules::max_bytes")]
    pub max_bytes: u64,
    /// How many of those are kept.
    #[serde(deserialize_with = "rules::keep")]
    pub keep: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { file: None, max_bytes: audit::Settings::MAX_BYTES, keep: audit::Settings::KEEP }
    }
}

impl Default for Node {
    fn default() -> Self {
        let zone = "zone-a".to_owned();
        Self {
            inventory: Inventory { zone: zone.clone(), ..Inventory::default() },
            zone,
            bpffs: "/sys/fs/bpf/nlb".into(),
            socket: "/run/nlb/nlb.sock".into(),
            state_dir: "/var/lib/nlb".into(),
            max_flows: 262_144,
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            api: Api::default(),
            quotas: Quotas::default(),
            audit: Audit::default(),
            keys: KeySource::default(),
        }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "rules::zone")]
    zone: String,
    #[serde(deserialize_with = "rules::absolute")]
    bpffs: PathBuf,
    #[serde(deserialize_with = "rules::socket")]
    socket: PathBuf,
    state_dir: PathBuf,
    #[serde(deserialize_with = "rules::max_flows")]
    max_flows: u32,
    #[serde(deserialize_with = "rules::region")]
    region: String,
    #[serde(deserialize_with = "rules::account_id")]
    account_id: String,
    access_key_file: Option<PathBuf>,
    api: Option<Spanned<Api>>,
    quotas: Quotas,
    audit: Audit,
    access_key: Vec<Spanned<keys::Entry>>,
    subnet: Vec<Spanned<Subnet>>,
    instance: Vec<Spanned<Instance>>,
    elastic_ip: Vec<Spanned<ElasticIp>>,
    security_group: Vec<Spanned<SecurityGroup>>,
    certificate: Vec<Spanned<Certificate>>,
    application_load_balancer: Vec<Spanned<ApplicationLoadBalancer>>,
}

impl Default for Written {
    fn default() -> Self {
        let Node { zone, bpffs, socket, state_dir, max_flows, region, account_id, quotas, audit, .. } = Node::default();
        Self {
            zone,
            bpffs,
            socket,
            state_dir,
            max_flows,
            region,
            account_id,
            access_key_file: None,
            api: None,
            quotas,
            audit,
            access_key: Vec::new(),
            subnet: Vec::new(),
            instance: Vec::new(),
            elastic_ip: Vec::new(),
            security_group: Vec::new(),
            certificate: Vec::new(),
            application_load_balancer: Vec::new(),
        }
    }
}

/// Where access keys are read from: the entries of a file, and another file. Has secrets in it.
#[derive(Clone, PartialEq, Eq, Default)]
struct KeySource {
    path: PathBuf,
    text: String,
    entries: Vec<Spanned<keys::Entry>>,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySource").field("path", &self.path).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Node {
    /// Reads `file`; without one [`DEFAULT_FILE`], if it exists, else the defaults.
    ///
    /// # Errors
    /// [`NodeError`] if the file cannot be read or is refused.
    pub fn load(file: Option<&Path>) -> Result<Self, NodeError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let read = || -> io::Result<_> {
            let mut open = File::open(path)?;
            let mut text = String::new();
            open.read_to_string(&mut text)?;
            Ok((text, open.metadata()?))
        };
        let (text, metadata) = match read() {
            Ok(read) => read,
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(why) => return Err(NodeError::Unreadable { path: path.to_owned(), why }),
        };
        let node = Self::parse(&text, path)?;
        if node.keys.entries.iter().any(|entry| entry.get_ref().has_secret()) {
            keys::guard(path, &metadata).map_err(NodeError::Exposed)?;
        }
        Ok(node)
    }

    /// Reads the text of a file. `path` is for messages, and relative paths in it begin at its directory.
    ///
    /// # Errors
    /// [`NodeError::Invalid`], with the place of the first mistake.
    pub fn parse(text: &str, path: &Path) -> Result<Self, NodeError> {
        let written: Written = toml::from_str(text).map_err(|error| NodeError::of_toml(path, text, &error))?;
        let source = Source { path, text };
        let resolve = |path: PathBuf| source.resolve(&path);
        let sections = Sections {
            subnet: written.subnet,
            instance: written.instance,
            elastic_ip: written.elastic_ip,
            security_group: written.security_group,
            certificate: written.certificate,
            application_load_balancer: written.application_load_balancer,
        };
        let inventory = sections.inventory(&written.zone, source)?;
        let problems = ops::inventory::validate(&inventory);
        if !problems.is_empty() {
            return Err(NodeError::Inventory { path: path.to_owned(), problems });
        }
        Ok(Self {
            inventory,
            api: written.api.map(|api| read_api(api, source)).transpose()?.unwrap_or_default(),
            audit: Audit { file: written.audit.file.map(resolve), ..written.audit },
            keys: KeySource {
                path: path.to_owned(),
                // For the places of mistakes, which there can be only where there are keys.
                text: if written.access_key.is_empty() { String::new() } else { text.to_owned() },
                entries: written.access_key,
                file: written.access_key_file.map(resolve),
            },
            zone: written.zone,
            bpffs: written.bpffs,
            socket: resolve(written.socket),
            state_dir: resolve(written.state_dir),
            max_flows: written.max_flows,
            region: written.region,
            account_id: written.account_id,
            quotas: written.quotas,
        })
    }

    /// Whose resources the node has.
    pub fn account(&self) -> Account {
        Account { region: self.region.clone(), id: self.account_id.clone() }
    }

    /// What the file says there is around the node.
    pub fn inventory(&self) -> Inventory {
        self.inventory.clone()
    }

    /// The file of the audit log.
    pub fn audit_file(&self) -> PathBuf {
        self.audit.file.clone().unwrap_or_else(|| self.state_dir.join("audit.log"))
    }

    /// Reads who may call the API: the access keys of the file, those of its `access_key_file`, and their secrets.
    ///
    /// # Errors
    /// If a secret is missing or can't be read, or if others than its owner can read it.
    pub fn keys(&self) -> Result<KeyRing, NodeError> {
        let mut keys = KeyRing::default();
        let KeySource { path, text, entries, file } = &self.keys;
        keys::add(&mut keys, Source { path, text }, entries)?;
        if let Some(file) = file {
            keys::add_file(&mut keys, file)?;
        }
        Ok(keys)
    }
}

fn read_api(api: Spanned<Api>, source: Source<'_>) -> Result<Api, NodeError> {
    let start = api.span().start;
    let api = api.into_inner();
    if api.certificate_file.is_some() != api.key_file.is_some() {
        let what = "api: certificate_file and key_file belong together: give both, or neither";
        return Err(NodeError::at(source.path, source.text, start, what.to_owned()));
    }
    let resolve = |path: Option<PathBuf>| path.map(|path| source.resolve(&path));
    Ok(Api { certificate_file: resolve(api.certificate_file), key_file: resolve(api.key_file), ..api })
}
