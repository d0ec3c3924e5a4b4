//! `wasi:config/store` (`wit/deps/wasi-config.wit`): settings that the operator gives a guest.

use std::collections::BTreeMap;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::state::HostState;
use crate::config;

/// The interface, under each version of it that toolchains and frameworks import. The versions differ in name only.
pub(super) const INTERFACES: [&str; 2] = ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft"];

/// Settings that guests read, by key.
pub(super) type Settings = BTreeMap<String, String>;

/// Why a setting cannot be read. A part of the interface's type: settings in memory are always there to be read.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "the interface has them, and reading from memory does not fail")]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// Settings of a component's guests: `guest.wasi-config`, or else `guest.env`. As in an environment, the last value of a
/// key counts.
pub(super) fn settings(guest: &config::Guest) -> Settings {
    let entries = guest.wasi_config.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
    if !guest.wasi_config.is_empty() {
        return entries.collect();
    }
    guest.env.iter().map(|variable| (variable.key.clone(), variable.value.clone())).collect()
}

/// Links both versions of the interface.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    INTERFACES.into_iter().try_for_each(|interface| link_as(linker, interface))
}

/// Links the interface under this name. Whatever it is called, it has the same settings.
pub(super) fn link_as(linker: &mut Linker<HostState>, name: &str) -> wasmtime::Result<()> {
    let mut store = linker.instance(name)?;
    store.func_wrap("get", get)?;
    store.func_wrap("get-all", get_all)
}

type Outcome<T> = wasmtime::Result<(Result<T, Error>,)>;

fn get(store: StoreContextMut<'_, HostState>, (key,): (String,)) -> Outcome<Option<String>> {
    Ok((Ok(store.data().capabilities.settings.get(&key).cloned()),))
}

fn get_all(store: StoreContextMut<'_, HostState>, (): ()) -> Outcome<Vec<(String, String)>> {
    let settings = &store.data().capabilities.settings;
    Ok((Ok(settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),))
}
