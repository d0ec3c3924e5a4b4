//! What is served at a time: the components, and the routes that lead to them.

use std::sync::{Arc, PoisonError, RwLock};

use http::request;
use pounce_telemetry::Telemetry;

use super::forwarded::Origin;
use super::router::{Refused, Router};
use crate::guest::{Guests, Served};

/// Components and the routes to them.
pub(crate) struct Generation {
    pub(crate) router: Router,
    /// In the order of the settings, one at least.
    pub(crate) components: Vec<Served>,
    /// Telemetry of requests that no component serves.
    pub(crate) telemetry: Telemetry,
    /// The components' files.
    pub(crate) paths: Vec<String>,
}

/// The generation that serves requests which come now. Those that came before are served by theirs to the end.
pub(crate) struct Current(RwLock<Arc<Generation>>);

impl Current {
    /// The first.
    pub(crate) fn new(generation: Arc<Generation>) -> Self {
        Self(RwLock::new(generation))
    }

    pub(crate) fn get(&self) -> Arc<Generation> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place, as a whole; the one before.
    pub(crate) fn replace(&self, generation: Arc<Generation>) -> Arc<Generation> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), generation)
    }
}

/// What serves a request.
pub(super) struct Route<'a> {
    /// The pattern of its path; none where it has none, or there are no routes.
    pub(super) pattern: Option<&'a str>,
    pub(super) component: &'a Served,
}

impl Generation {
    /// What serves the request with this head.
    pub(super) fn find(&self, origin: &Origin<'_>, head: &request::Parts) -> Result<Route<'_>, Refused> {
        let found = self.router.find(origin, head)?;
        // The router was made for these components.
        let component = self.components.get(found.component).ok_or(Refused::NoRoute)?;
        Ok(Route { pattern: found.pattern, component })
    }

    /// Where a request is told that this serves.
    pub(super) fn telemetry_of<'a>(&'a self, route: &Result<Route<'a>, Refused>) -> &'a Telemetry {
        route.as_ref().map_or(&self.telemetry, |route| route.component.telemetry())
    }

    /// As whose requests the log tells it; where there is one component, all of them are.
    pub(super) fn name_of<'a>(&'a self, route: &Result<Route<'a>, Refused>) -> Option<&'a Arc<str>> {
        match (route, &self.components[..]) {
            (Ok(route), _) => Some(route.component.name()),
            (Err(_), [only]) => Some(only.name()),
            (Err(_), _) => None,
        }
    }

    /// The guests of all components that are loaded.
    pub(crate) fn guests(&self) -> impl Iterator<Item = &Arc<Guests>> {
        self.components.iter().filter_map(Served::guests)
    }
}
