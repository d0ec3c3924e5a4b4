//! What is served: one component, or several, each with settings of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file;
use super::mistake::{Hint, Mistake, Wrong};
use super::options::Guest;
use super::otel::Otel;
use super::resolve::{InForce, Layer, Resolver};
use super::route::Route;
use super::vars::Vars;
use super::{Config, check};

/// Component of a server, which may have settings of its own.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Component {
    /// Name, by which routes lead to it; it is in traces and logs.
    pub name: String,
    /// Path of the component's file.
    pub source: PathBuf,
    /// Whether it is loaded when a request asks for it, in place of the start of the server.
    pub lazy: bool,
    /// Settings in place of the server's `[guest]`, where it has its own.
    pub guest: Option<Guest>,
    /// Settings in place of the server's `[otel]`, where it has its own: those of spans and metrics count, not those of
    /// the endpoint.
    pub otel: Option<Otel>,
}

impl Component {
    /// The component of a file, called by the file's name without its ending.
    #[must_use]
    pub fn new(source: impl Into<PathBuf>) -> Self {
        let source = source.into();
        let name = stem(&source);
        Self { name, source, lazy: false, guest: None, otel: None }
    }
}

fn stem(source: &Path) -> String {
    source.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Config {
    /// Each component as a configuration of that one alone, with the settings that hold for it.
    pub(crate) fn each(&self) -> Vec<Config> {
        let alone = |component: &Component| Config {
            component: Some(component.source.clone()),
            component_name: Some(component.name.clone()),
            lazy: component.lazy,
            components: Vec::new(),
            guest: component.guest.as_ref().unwrap_or(&self.guest).clone(),
            otel: component.otel.as_ref().unwrap_or(&self.otel).clone(),
            ..self.clone()
        };
        match &self.components[..] {
            [] if self.component.is_none() => Vec::new(),
            [] => vec![self.clone()],
            components => components.iter().map(alone).collect(),
        }
    }

    /// Names of all components.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.components[..] {
            [] => self.component_name().into_iter().collect(),
            components => components.iter().map(|component| component.name.clone()).collect(),
        }
    }
}

/// What is wrong with components and routes together, as far as a component or a route alone does not show it.
pub(super) fn conflicts(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let names = config.names();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            wrong.push(Wrong {
                key: "component",
                what: format!("two components are called `{name}`"),
                hint: "give each [[component]] a name of its own".into(),
            });
        }
    }
    if names.len() < 2 {
        return wrong;
    }
    let routes = &config.http.route;
    let leads_to = |name: &String| routes.iter().any(|route: &Route| route.component == *name);
    let forgotten: Vec<_> = names.iter().filter(|name| !leads_to(name)).collect();
    if let Some(name) = forgotten.first() {
        let quoted: Vec<_> = forgotten.iter().map(|name| format!("`{name}`")).collect();
        let what = format!("no route leads to the component {}", quoted.join(", "));
        let hint = Hint::Set {
            flag: format!(
                "say which requests it serves, such as --route '/path/{{*rest}}={name}' or a [[route]]"
            ),
            file: format!(
                "say which requests it serves: [[route]] with path = \"/path/{{*rest}}\" and component = \"{name}\""
            ),
        };
        wrong.push(Wrong { key: "http.route", what, hint });
    }
    wrong
}

/// Where settings of components come from, beside their own.
pub(super) struct Around<'a> {
    pub(super) flags: &'a Layer,
    pub(super) vars: &'a Vars,
    pub(super) file: &'a Layer,
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// Whether the defaults are those of `pounce dev`.
    pub(super) is_dev: bool,
}

/// Resolved components, with what each has in force of its own, by name.
#[derive(Default)]
pub(super) struct Components {
    pub(super) all: Vec<Component>,
    pub(super) in_force: Vec<(String, Vec<InForce>)>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Components {
    /// Resolves what a file says.
    pub(super) fn resolve(said: Vec<file::Component>, around: &Around<'_>) -> Self {
        let mut found = Self::default();
        for file::Component { name, source, lazy, options, .. } in said {
            let mut component = Component { lazy, ..Component::new(around.folder.join(source)) };
            if let Some(name) = name {
                component.name = name;
            }
            let own: Vec<_> = options.keys().cloned().collect();
            if !own.is_empty() {
                let (flags, file) = (around.flags.clone(), around.file.clone());
                let resolver = Resolver::new(flags, around.vars, file, around.is_dev);
                let mut resolver = resolver.of_component(options);
                component.guest = Some(Guest::resolve(&mut resolver));
                component.otel = Some(Otel::resolve(&mut resolver));
                let Resolver { in_force, mistakes, .. } = resolver;
                found.mistakes.extend(mistakes);
                let in_force = in_force.into_iter().filter(|one| own.contains(&one.key)).collect();
                found.in_force.push((component.name.clone(), in_force));
            }
            found.all.push(component);
        }
        found
    }

    /// Mistakes of settings that are components' own and can't work, each where it was written.
    pub(super) fn flaws(
        config: &Config,
        in_force: &[(String, Vec<InForce>)],
        has_flags: bool,
    ) -> Vec<Mistake> {
        let by_name: BTreeMap<_, _> = in_force.iter().map(|(name, own)| (name.clone(), own)).collect();
        let mut mistakes = Vec::new();
        for alone in config.each() {
            let own = alone.component_name().and_then(|name| by_name.get(&name).copied());
            let Some(own) = own else { continue };
            for wrong in check::check(&alone) {
                if let Some(one) = own.iter().find(|one| one.key == wrong.key) {
                    mistakes.push(Mistake::new(
                        format!("{}: {}", one.source, one.key),
                        wrong.what,
                        wrong.hint.told(has_flags),
                    ));
                }
            }
        }
        mistakes
    }
}
