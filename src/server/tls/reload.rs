//! Certificates that change while the server runs: their files are looked at, and what is new and good is in force for
//! connections that come then. What is new and bad changes nothing, and is told.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::identities::Identities;
use super::{InForce, Tls};
use crate::config::{Certificates, Certified, Invalid, PrivateKey, Unusable};
use crate::server::drain::Phase;
use crate::server::files::{Files, LOOK};
use pounce_telemetry::metrics::host as host_metrics;

/// Reloads so far, and what is wrong now.
#[derive(Debug, Default)]
pub(super) struct Reloads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    done: AtomicU64,
    failed: AtomicU64,
    errors: Mutex<Vec<String>>,
}

impl Reloads {
    pub(super) fn error(&self) -> Option<String> {
        let errors = self.0.errors.lock().unwrap_or_else(PoisonError::into_inner);
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    /// Tells of what is wrong now; of what was wrong before already nothing is said again.
    fn tell(&self, now: Vec<String>) {
        let mut known = self.0.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for error in now.iter().filter(|error| !known.contains(error)) {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a certificate that has changed is not used, and the one before stays: {error}");
        }
        *known = now;
    }

    pub(super) fn observe(&self, metrics: &host_metrics::Host) {
        let observe = |outcome, read: fn(&Shared) -> u64| {
            let shared = Arc::clone(&self.0);
            let read = move || Some(read(&shared));
            metrics.observe(&host_metrics::TLS_CERTIFICATE_RELOADS, &[("outcome", outcome)], read);
        };
        observe("done", |shared| shared.done.load(Ordering::Relaxed));
        observe("failed", |shared| shared.failed.load(Ordering::Relaxed));
    }
}

impl Tls {
    /// Has files that change read again until the server drains.
    pub(crate) async fn watch(self: Arc<Self>, mut phase: watch::Receiver<Phase>) {
        let mut files = Files::new(self.files());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            }
            let tls = Arc::clone(&self);
            // On a thread of its own: the files may be on a disk that hangs.
            let looking = tokio::task::spawn_blocking(move || {
                if files.have_settled() {
                    let is_well = tls.reload(SystemTime::now());
                    files.have_been_read(is_well);
                }
                files
            });
            let looked = tokio::select! {
                looked = looking => looked,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            };
            files = match looked {
                Ok(files) => files,
                Err(error) => {
                    tracing::error!("certificates that change are not read any more: {error}");
                    return;
                }
            };
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let InForce { identities, client_ca, .. } = self.in_force();
        let pairs = identities.all().iter().flat_map(|one| [one.certificates.path(), one.key.path()]);
        pairs.chain(client_ca.as_ref().map(Certificates::path)).map(ToOwned::to_owned).collect()
    }

    /// Reads all files, and puts in force what is new and good. Whether nothing was wrong.
    fn reload(&self, now: SystemTime) -> bool {
        let old = self.in_force();
        let (mut errors, mut is_new) = (Vec::new(), false);
        let certified = old.identities.all().iter().map(|old| match read_again(old, now) {
            Ok(None) => old.clone(),
            Ok(Some(new)) => {
                is_new = true;
                new
            }
            Err(error) => {
                errors.push(error);
                old.clone()
            }
        });
        let identities = Identities::new(certified.collect());
        let mut client_ca = old.client_ca.clone();
        let mut tickets = Some(old.config.ticketer.clone());
        if let Some(old) = &old.client_ca {
            match Certificates::from_file(old.path()) {
                Ok(new) if new != *old => {
                    // Tickets vouch for clients for whom perhaps nobody else does any more.
                    (client_ca, tickets, is_new) = (Some(new), None, true);
                }
                Ok(_) => {}
                Err(Invalid { what, hint }) => {
                    errors.push(format!("`{}` {what}; {hint}", old.path().display()));
                }
            }
        }
        if is_new {
            match InForce::new(Arc::new(identities), client_ca, self.client_auth, tickets) {
                Ok(new) => self.put_in_force(new),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        let is_well = errors.is_empty();
        self.reloads.tell(errors);
        is_well
    }

    fn put_in_force(&self, new: InForce) {
        self.reloads.0.done.fetch_add(1, Ordering::Relaxed);
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *in_force, new.clone());
        drop(in_force);
        for (one, old) in new.identities.all().iter().zip(old.identities.all()) {
            if one.certificates != old.certificates || one.key != old.key {
                tracing::info!(
                    file = %one.certificates.path().display(),
                    names = one.described.names.join(", "),
                    expires = httpdate::fmt_http_date(one.described.not_after),
                    "a certificate has changed, and is in force for new connections"
                );
            }
        }
        if let Some(authorities) = new.client_ca.filter(|new| old.client_ca.as_ref() != Some(new)) {
            tracing::info!(
                file = %authorities.path().display(),
                "the authorities of clients have changed, and count for new connections"
            );
        }
    }
}

/// A pair as its files have it now; none where they say the same as before.
fn read_again(old: &Certified, now: SystemTime) -> Result<Option<Certified>, String> {
    let (certificate, key) = (old.certificates.path(), old.key.path());
    let at = |path: &std::path::Path, Invalid { what, hint }| format!("`{}` {what}; {hint}", path.display());
    let certificates = Certificates::from_file(certificate).map_err(|flaw| at(certificate, flaw))?;
    let new_key = PrivateKey::from_file(key).map_err(|flaw| at(key, flaw))?;
    if certificates == old.certificates && new_key == old.key {
        return Ok(None);
    }
    let new = Certified::new(certificates, new_key, now).map_err(|unusable| match unusable {
        Unusable::Certificate(flaw) => at(certificate, flaw),
        Unusable::Key(flaw) => at(key, flaw),
    })?;
    Ok(Some(new))
}
