//! The ways in: the HTTP API and the unix socket of commands. Both end in the loop's queue.
//!
//! The API's addresses are bound before anything in the kernel is touched, so that one that is taken changes nothing;
//! until the loop is ready, calls are asked to come again.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::{Options, backend::Backend, serve::OnReload, view::View};
use crate::{
    api::{self, AccessKey, Keys, Secret, SharedKeys},
    audit::{self, Audit},
    cli::failure,
    control::server::{Call, QUEUE, Server},
    node::{KeyRing, Node, private},
};

/// Doors that are bound; nobody is let in yet.
pub struct Doors {
    api: Option<api::Server>,
    tls: Option<api::Tls>,
    keys: SharedKeys,
    audit: Audit,
    backend: Backend,
    calls: mpsc::Receiver<Call>,
}

/// Doors that are open.
pub struct Open {
    api: Option<api::Server>,
    control: Server,
    audit: Audit,
}

impl Keys for KeyRing {
    fn find(&self, id: &str) -> Option<AccessKey> {
        let key = self.get(id)?;
        Some(AccessKey { secret: Secret::new(key.secret()), user: key.user().map(str::to_owned) })
    }
}

impl Doors {
    /// Binds the addresses of the API, if there are any.
    ///
    /// # Errors
    /// If an address, a key or a certificate cannot be used.
    pub async fn bind(options: &Options) -> Result<Self> {
        let node = &options.node;
        let settings =
            audit::Settings { file: node.audit_file(), max_bytes: node.audit.max_bytes, keep: node.audit.keep };
        let audit = Audit::open(settings, node.account())?;
        let (sender, calls) = mpsc::channel(QUEUE);
        let backend = Backend::new(sender);
        let ring = node.keys()?;
        if !node.api.listen.is_empty() && ring.is_empty() {
            warn!("the API is served, but there is no access key in node.toml: every call will be refused");
        }
        let keys = SharedKeys::new(ring);
        let (mut server, mut tls) = (None, None);
        if !node.api.listen.is_empty() {
            let files = node.api.certificate_file.as_deref().zip(node.api.key_file.as_deref());
            if let Some(Err(exposed)) = files.map(|(_, key)| private(key)) {
                warn!("{exposed}");
            }
            tls = files.map(|(certificate, key)| api::Tls::load(certificate, key)).transpose()?;
            let settings = api::Settings {
                listen: api::Listen {
                    addresses: node.api.listen.clone(),
                    tls: tls.clone(),
                    allow_plain_http: node.api.allow_plain_http,
                },
                account: node.account(),
                limits: api::Limits::default(),
            };
            server = Some(api::serve(settings, keys.clone(), backend.clone(), Some(audit.clone())).await?);
        }
        Ok(Self { api: server, tls, keys, audit, backend, calls })
    }

    /// What takes up keys and certificate of a node.toml that was read again.
    pub fn on_reload(&self) -> OnReload {
        let (keys, tls) = (self.keys.clone(), self.tls.clone());
        Box::new(move |node: &Node| {
            match node.keys() {
                Ok(ring) => keys.replace(ring),
                Err(error) => error!("the access keys stay as they were: {}", failure::text(&error)),
            }
            if let Some(Err(error)) = tls.as_ref().map(api::Tls::reload) {
                error!("the API's certificate stays as it was: {}", failure::text(&error));
            }
        })
    }

    /// Lets callers in: what only looks is answered from the view, the rest comes out of the queue.
    ///
    /// # Errors
    /// If the unix socket cannot be opened.
    pub fn open(self, node: &Node, view: watch::Receiver<Arc<View>>) -> Result<(Open, mpsc::Receiver<Call>)> {
        self.backend.ready(view);
        let control = Server::open(&node.socket, self.backend.calls(), Some(self.audit.clone()))?;
        for address in self.api.iter().flat_map(api::Server::addresses) {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            info!("api: listening on {scheme}://{address}");
        }
        Ok((Open { api: self.api, control, audit: self.audit }, self.calls))
    }
}

impl Open {
    /// Closes them: what was begun is answered, and what was recorded is written.
    pub async fn close(self) {
        if let Some(api) = self.api {
            api.stop().await;
        }
        drop(self.control);
        self.audit.flush();
    }
}
