//! The sections of `node.toml` that say what there is around the node: `[[subnet]]`, `[[instance]]` and so on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::NodeError;
use crate::model::{ApplicationLoadBalancer, Certificate, ElasticIp, Instance, Inventory, SecurityGroup, Subnet};

/// The sections as they are written.
pub struct Sections {
    pub subnet: Vec<Spanned<Subnet>>,
    pub instance: Vec<Spanned<Instance>>,
    pub elastic_ip: Vec<Spanned<ElasticIp>>,
    pub security_group: Vec<Spanned<SecurityGroup>>,
    pub certificate: Vec<Spanned<Certificate>>,
    pub application_load_balancer: Vec<Spanned<ApplicationLoadBalancer>>,
}

/// The file that sections are of, for messages and relative paths.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    /// A path of the file: relative ones begin at the file's directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

impl Sections {
    /// All of them, by id.
    ///
    /// # Errors
    /// If two have the same id.
    pub fn inventory(self, zone: &str, source: Source<'_>) -> Result<Inventory, NodeError> {
        let mut certificates = by_id(source, "certificate", "arn", self.certificate, |it| &it.arn)?;
        for certificate in certificates.values_mut() {
            certificate.certificate_file = source.resolve(&certificate.certificate_file);
            certificate.key_file = source.resolve(&certificate.key_file);
        }
        let proxies = self.application_load_balancer;
        Ok(Inventory {
            zone: zone.to_owned(),
            subnets: by_id(source, "subnet", "id", self.subnet, |it| &it.id)?,
            instances: by_id(source, "instance", "id", self.instance, |it| &it.id)?,
            elastic_ips: by_id(source, "elastic_ip", "allocation_id", self.elastic_ip, |it| &it.allocation_id)?,
            security_groups: by_id(source, "security_group", "id", self.security_group, |it| &it.id)?,
            certificates,
            application_load_balancers: by_id(source, "application_load_balancer", "arn", proxies, |it| &it.arn)?,
            // Only the controller looks into the files.
            unsuitable: BTreeMap::new(),
        })
    }
}

/// Things by what names them, which is in `field`.
fn by_id<T>(
    source: Source<'_>,
    section: &str,
    field: &str,
    all: Vec<Spanned<T>>,
    id: impl Fn(&T) -> &str,
) -> Result<BTreeMap<String, T>, NodeError> {
    let mut map = BTreeMap::new();
    for it in all {
        let start = it.span().start;
        let it = it.into_inner();
        let name = id(&it).to_owned();
        if map.contains_key(&name) {
            let what = format!("{section}: found the {field} {name:?} a second time; each {section} has its own");
            return Err(NodeError::at(source.path, source.text, start, what));
        }
        map.insert(name, it);
    }
    Ok(map)
}
