//! Reloads: another generation of components and routes in place of the one that is served, when SIGHUP asks for it or,
//! with `guest.watch`, when a file has changed.
//!
//! The new one is read, checked and loaded while the old one serves, and put in its place as a whole; the old one serves
//! its requests to their end. One that is not sound changes nothing. Listeners, admission, drain and telemetry are the
//! server's and stay: what of their settings has changed is named, and needs a restart.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use pounce_telemetry::metrics::host as host_metrics;
use tokio::sync::{Notify, watch};

use super::components::{self, Loading};
use super::harden::Hardening;
use super::supervisor::Supervisor;
use crate::admin;
use crate::config::{Config, InForce, Loaded, Mistakes};
use crate::server::{Files, Generation, Handler, LOOK, Phase, Router};

/// How often it is looked whether a generation that has been replaced is gone.
const SETTLE: Duration = Duration::from_millis(200);
/// Time between two looks at files that a developer changes and then wants to see served.
const LOOK_OF_DEVELOPERS: Duration = Duration::from_millis(100);

/// Reads the settings again.
pub(crate) type Source = Box<dyn Fn() -> Result<Loaded, Mistakes> + Send + Sync>;

/// Puts other generations in the place of the one that is served.
pub(super) struct Reloads {
    source: Source,
    handler: Arc<Handler>,
    loading: Loading,
    hardening: Option<Hardening>,
    asked: Notify,
    /// The settings in force, and where they were read.
    current: Mutex<Loaded>,
    done: AtomicU64,
    failed: AtomicU64,
    last: Mutex<Last>,
    troubles: Mutex<Troubles>,
    /// Who is told of reloads, and what is said when there is none under way.
    supervisor: OnceLock<(Supervisor, String)>,
}

/// The last reload.
#[derive(Default)]
struct Last {
    at: Option<Instant>,
    /// Why it changed nothing.
    error: Option<String>,
    needs_restart: Vec<String>,
}

/// What keeps a newer component from being served. A reload that goes well says nothing of a build: it may be one of the
/// settings alone, or of what an earlier build has made.
#[derive(Default)]
struct Troubles {
    build: Option<String>,
    reload: Option<String>,
}

impl Troubles {
    /// Both, for error pages.
    fn told(&self) -> Option<String> {
        let told: Vec<_> = [&self.build, &self.reload].into_iter().flatten().map(String::as_str).collect();
        (!told.is_empty()).then(|| told.join("\n"))
    }
}

/// Asks a server for reloads, and tells it what keeps a newer component from being served.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Reloads>);

impl Reloader {
    pub(super) fn new(reloads: Arc<Reloads>) -> Self {
        Self(reloads)
    }

    /// Has components and routes loaded again, as SIGHUP does.
    pub(crate) fn ask(&self) {
        self.0.ask();
    }

    /// A build has gone well: what it has made is loaded.
    pub(crate) fn has_built(&self) {
        self.0.tell_pages(|troubles| troubles.build = None);
        self.0.ask();
    }

    /// A build has failed: error pages say so until one has gone well.
    pub(crate) fn has_failed_to_build(&self, why: String) {
        self.0.tell_pages(|troubles| troubles.build = Some(why));
    }
}

impl Reloads {
    pub(super) fn new(
        source: Source,
        current: Loaded,
        handler: Arc<Handler>,
        loading: Loading,
        hardening: Option<Hardening>,
    ) -> Self {
        Self {
            source,
            handler,
            loading,
            hardening,
            asked: Notify::new(),
            current: Mutex::new(current),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::default(),
            troubles: Mutex::default(),
            supervisor: OnceLock::new(),
        }
    }

    /// Tells the service manager that requests are served, with a `status` for people, and from now on of each reload.
    pub(super) fn tell(&self, supervisor: Supervisor, status: String) {
        supervisor.ready(&status);
        _ = self.supervisor.set((supervisor, status));
    }

    /// Asks for a reload; one that is asked for while another is under way follows it.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Reloads whenever somebody asks, or a file has changed that is watched, until the server drains.
    pub(super) async fn run(self: Arc<Self>, mut phase: watch::Receiver<Phase>) {
        let (is_watching, pace) = {
            let config = &lock(&self.current).config;
            (config.guest.watch, if config.is_dev { LOOK_OF_DEVELOPERS } else { LOOK })
        };
        let mut files = Files::as_read(self.files());
        loop {
            let reload = async {
                tokio::select! {
                    () = self.asked.notified() => {}
                    () = settled(&mut files, pace), if is_watching => tracing::info!("a file has changed"),
                }
                self.reload().await
            };
            let is_well = tokio::select! {
                is_well = reload => is_well,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            };
            // Whatever was wrong: it is tried again when something changes, not over and over.
            if is_well {
                files = Files::as_read(self.files());
            } else {
                files.have_been_read(true);
            }
        }
    }

    /// The files that the current settings are made of.
    fn files(&self) -> Vec<PathBuf> {
        let Loaded { config, file, .. } = &*lock(&self.current);
        // A build says itself when it is done with what it writes.
        let is_built = config.is_dev && config.dev.build.is_some();
        let watched = if is_built { Vec::new() } else { config.each() };
        let components = watched.into_iter().filter_map(|config| config.component);
        file.iter().cloned().chain(components).collect()
    }

    /// Whether another generation serves now.
    async fn reload(self: &Arc<Self>) -> bool {
        let begun = Instant::now();
        let supervisor = self.supervisor.get();
        if let Some((supervisor, _)) = supervisor {
            supervisor.reloading();
        }
        let outcome = self.replace().await;
        if let Some((supervisor, status)) = supervisor {
            match &outcome {
                Ok(_) => supervisor.ready(status),
                // It is as ready as it was.
                Err(error) => supervisor.ready(&format!("{status}; not reloaded: {error:#}")),
            }
        }
        let mut last = lock(&self.last);
        last.at = Some(Instant::now());
        match outcome {
            Ok(needs_restart) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                let seconds = begun.elapsed().as_secs_f64();
                tracing::info!(
                    seconds,
                    "reloaded: requests that come now are served by the new components and routes"
                );
                if !needs_restart.is_empty() {
                    let keys = needs_restart.join(", ");
                    tracing::warn!(
                        keys,
                        "these settings have changed, and stay as they were: they need a restart"
                    );
                }
                (last.error, last.needs_restart) = (None, needs_restart);
                self.tell_pages(|troubles| troubles.reload = None);
                true
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!("not reloaded, and everything is served as before: {error:#}");
                last.error = Some(format!("{error:#}"));
                self.tell_pages(|troubles| troubles.reload = Some(format!("not reloaded: {error:#}")));
                false
            }
        }
    }

    /// Loads another generation, and puts it in place. The keys of settings that need a restart.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    async fn replace(self: &Arc<Self>) -> anyhow::Result<Vec<String>> {
        let reloads = Arc::clone(self);
        // On a thread of its own: the files may be on a disk that hangs.
        let reading = tokio::task::spawn_blocking(move || (reloads.source)());
        let new = reading.await.context("the thread that reads the settings died")??;
        let (needs_restart, config) = {
            let old = lock(&self.current);
            let mut config = new.config.clone();
            // What the server was made with.
            let route = std::mem::take(&mut config.http.route);
            config.http = old.config.http.clone();
            config.http.route = route;
            config.inherited = old.config.inherited;
            (needs_restart(&old, &new), config)
        };
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let each = config.each();
        if each.is_empty() {
            bail!("there is no component to serve");
        }
        if let Some(hardening) = &self.hardening {
            hardening.covers(&each)?;
        }
        let loaded = components::load(config.clone(), each, self.loading.clone()).await?;
        let router = Router::new(&config.http.route, &config.names());
        let telemetry = self.loading.lines.telemetry().clone();
        let generation =
            Generation { router, components: loaded, telemetry, paths: components::paths(&config) };
        let old = Arc::downgrade(&self.handler.generation.replace(Arc::new(generation)));
        *lock(&self.current) = Loaded { config, ..new };
        let lines = self.loading.lines.clone();
        tokio::spawn(async move {
            while old.strong_count() > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            // It may be on its way out.
            tokio::time::sleep(SETTLE).await;
            lines.settle();
        });
        Ok(needs_restart)
    }

    /// Has error pages say what keeps a newer component from being served, if anything does.
    fn tell_pages(&self, change: impl FnOnce(&mut Troubles)) {
        // Held until the pages have it: a build and a reload may end at once.
        let mut troubles = lock(&self.troubles);
        change(&mut troubles);
        if let Some(pages) = &self.handler.error_pages {
            pages.set_trouble(troubles.told());
        }
    }

    /// What the process has given up, for the admin listener.
    pub(super) fn hardening(&self) -> Option<admin::Hardening> {
        self.hardening.as_ref().map(|hardening| admin::Hardening {
            landlock: hardening.offer.landlock.name(),
            seccomp: hardening.offer.seccomp,
            writable: hardening.directories().collect(),
            missing: hardening.offer.all_missing(),
        })
    }

    /// For the admin listener.
    pub(super) fn facts(&self) -> admin::Reload {
        let last = lock(&self.last);
        admin::Reload {
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_seconds_ago: last.at.map(|at| at.elapsed().as_secs_f64()),
            last_error: last.error.clone(),
            needs_restart: last.needs_restart.clone(),
        }
    }

    /// Has the metrics tell what is counted here.
    pub(super) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        let observe = |outcome, read: fn(&Reloads) -> u64| {
            // Weak: what is counted here holds the metrics.
            let reloads = Arc::downgrade(self);
            let read = move || reloads.upgrade().map(|reloads| read(&reloads));
            metrics.observe(&host_metrics::RELOADS, &[("outcome", outcome)], read);
        };
        observe("done", |reloads| reloads.done.load(Ordering::Relaxed));
        observe("failed", |reloads| reloads.failed.load(Ordering::Relaxed));
    }
}

/// Resolves when the files have changed and are not being written any more.
async fn settled(files: &mut Files, pace: Duration) {
    loop {
        tokio::time::sleep(pace).await;
        // A copy: who stops waiting here loses nothing.
        let mut looked = files.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let have_settled = looked.have_settled();
            (looked, have_settled)
        });
        let Ok((looked, have_settled)) = looking.await else {
            tracing::error!("files that change are not seen any more: the thread that looks died");
            return std::future::pending().await;
        };
        *files = looked;
        if have_settled {
            return;
        }
    }
}

/// Settings that differ and are the server's: all but the components' own, and the routes.
fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<String> {
    let is_servers =
        |one: &&InForce| (one.section != "guest" && one.key != "http.route") || one.key == "guest.watch";
    let differs = |one: &&InForce| {
        let before = old.in_force.iter().find(|before| before.key == one.key);
        before.is_some_and(|before| before.value != one.value)
    };
    let mut keys: Vec<_> =
        new.in_force.iter().filter(is_servers).filter(differs).map(|one| one.key.clone()).collect();
    // It is shown without its values.
    if old.config.otel.headers != new.config.otel.headers && !keys.iter().any(|key| key == "otel.headers") {
        keys.push("otel.headers".to_owned());
    }
    let otel = |config: &Config| {
        config.each().into_iter().map(|one| (one.component_name(), one.otel)).collect::<Vec<_>>()
    };
    let before = otel(&old.config);
    for (name, otel) in otel(&new.config) {
        let is_other = before.iter().any(|(known, before)| *known == name && *before != otel);
        if is_other && !keys.iter().any(|key| key.starts_with("otel.")) {
            keys.push(format!("otel.* of the component `{}`", name.unwrap_or_default()));
        }
    }
    keys
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
