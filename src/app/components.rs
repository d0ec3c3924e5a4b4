//! Loads what is served: every component with its own settings and telemetry, and those that are lazy when they are asked
//! for.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use pounce_telemetry::Telemetry;
use tokio::runtime::Handle;

use super::lines::Lines;
use crate::config::Config;
use crate::guest::{
    Beyond, Budget, Commons, Compiling, Engines, Guests, Load, OwnListeners, Served, Standing,
};

/// How components are loaded.
#[derive(Clone)]
pub(super) struct Loading {
    /// Where this server listens.
    pub(super) own: OwnListeners,
    /// Who answers guests whom no setting lets call somebody.
    pub(super) beyond: Beyond,
    /// What belongs to the components, whichever generation it is.
    pub(super) lines: Arc<Lines>,
    pub(super) compiling: Compiling,
    /// How those are compiled that are loaded once the server is ready.
    pub(super) compiling_later: Compiling,
    /// The engines of all generations.
    pub(super) engines: Arc<Engines>,
}

/// A component that is to be served.
struct Planned {
    config: Config,
    name: String,
    telemetry: Telemetry,
    standing: Arc<Standing>,
    /// None for one that is loaded when it is asked for.
    guests: Option<Arc<Guests>>,
}

/// Loads all components, each by its configuration, on a thread of its own: compiling takes up to minutes and cannot be
/// stopped, and who waits here has to hear a signal meanwhile.
///
/// # Errors
/// Everything for which one of them cannot be served.
pub(super) async fn load(server: Config, each: Vec<Config>, loading: Loading) -> anyhow::Result<Vec<Served>> {
    let runtime = Handle::current();
    let loading = move || load_on(&server, each, &loading, &runtime);
    tokio::task::spawn_blocking(loading).await.context("the thread that loads the components died")?
}

fn load_on(
    server: &Config,
    each: Vec<Config>,
    loading: &Loading,
    runtime: &Handle,
) -> anyhow::Result<Vec<Served>> {
    let commons = Arc::new(Commons::new(server, each.len(), loading.engines.clone()));
    if each.len() > 1 {
        let at_start: Vec<_> = each.iter().filter(|config| !config.lazy).cloned().collect();
        commons.prepare(&at_start, &loading.compiling)?;
    }
    let count = each.len();
    let mut problems = Vec::new();
    let mut planned = Vec::new();
    for config in each {
        let name = config.component_name().unwrap_or_default();
        let (telemetry, standing) = loading.lines.of(&config);
        let guests = match config.lazy {
            true => None,
            false => {
                let compiling = loading.compiling.clone();
                let loaded = guests(&config, loading, &telemetry, compiling, &commons);
                runtime.block_on(loaded).map_err(|problem| problems.push(format!("{problem:#}"))).ok()
            }
        };
        planned.push(Planned { config, name, telemetry, standing, guests });
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    // Of the places for requests that there is memory for.
    let in_flight = room_of(server, planned.iter().filter_map(|planned| planned.guests.as_ref()));
    let rest = Budget::rest_of(in_flight as u64, count);
    let served = planned.into_iter().map(|Planned { config, name, telemetry, standing, guests }| {
        let places = || Arc::new(Budget::part_of(in_flight as u64, count, rest.clone(), u64::MAX));
        let places = (count > 1).then(places);
        match guests {
            Some(guests) => {
                standing.add(guests.clone());
                Served::loaded(guests, telemetry, places)
            }
            None => {
                let patience = config.http.request_timeout.0;
                let load = when_asked(config, telemetry.clone(), standing, loading, &commons);
                Served::lazy(&name, telemetry, places, patience, load)
            }
        }
    });
    Ok(served.collect())
}

/// The files of all components, as `/status` shows them.
pub(super) fn paths(config: &Config) -> Vec<String> {
    let path = |config: Config| config.component.unwrap_or_default().display().to_string();
    config.each().into_iter().map(path).collect()
}

/// Requests that are served at once: as set, or as many as there is room for in every component that is loaded.
pub(super) fn room_of<'a>(server: &Config, guests: impl Iterator<Item = &'a Arc<Guests>>) -> usize {
    guests.map(|guests| guests.room()).fold(server.http.max_in_flight, usize::min)
}

/// Loads one component.
async fn guests(
    config: &Config,
    loading: &Loading,
    telemetry: &Telemetry,
    compiling: Compiling,
    commons: &Commons,
) -> anyhow::Result<Arc<Guests>> {
    let (own, beyond) = (loading.own.clone(), loading.beyond.clone());
    Ok(Arc::new(Guests::load(config, own, telemetry.signals(), compiling, commons, beyond).await?))
}

/// Loads a component at any later time.
fn when_asked(
    config: Config,
    telemetry: Telemetry,
    standing: Arc<Standing>,
    loading: &Loading,
    commons: &Arc<Commons>,
) -> Load {
    let (config, commons, loading) = (Arc::new(config), commons.clone(), loading.clone());
    Box::new(move || {
        let (config, commons, loading) = (config.clone(), commons.clone(), loading.clone());
        let (telemetry, standing, runtime) = (telemetry.clone(), standing.clone(), Handle::current());
        let load = move || {
            let compiling = loading.compiling_later.clone();
            let guests = runtime.block_on(guests(&config, &loading, &telemetry, compiling, &commons))?;
            standing.add(guests.clone());
            Ok(guests)
        };
        Box::pin(async move {
            tokio::task::spawn_blocking(load).await.context("the thread that loads the component died")?
        })
    })
}
