//! The series of finished requests, found by what tells them apart without building attributes or taking a lock.
//!
//! A table of each thread's own remembers those used last; behind it is a map for all threads.

use super::definitions as host;
use crate::http_facts::protocol_version;
use crate::methods::Methods;
use crate::metrics::attributes::AttributeSet;
use crate::metrics::instrument::MAX_SERIES;
use crate::metrics::series::Series;
use crate::metrics::store::Metrics;
use crate::request::facts::Facts;
use crate::semconv;
use crate::value::Value;
use http::Version;
use rustc_hash::FxBuildHasher;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Requests that a thread tells apart without a look at the others' map; a power of two.
const REMEMBERED: usize = 64;

/// What the series of a request depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub(super) start: Start,
    /// 0 where none was sent.
    pub(super) status: u16,
    pub(super) route: Option<&'a str>,
    pub(super) error_type: Option<&'a str>,
}

/// What the series of a request depend on that is known at its start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Start {
    /// Place among the known methods, or their number.
    pub(super) method: u16,
    pub(super) is_tls: bool,
    pub(super) version: Version,
}

/// The series of requests of one kind.
pub(super) struct RequestSeries {
    pub(super) duration: Arc<Series>,
    pub(super) request_size: Arc<Series>,
    pub(super) response_size: Arc<Series>,
    start: Start,
    status: u16,
    route: Option<Box<str>>,
    error_type: Option<Box<str>>,
}

/// Finds the series of requests.
pub(super) struct Bound {
    /// Tells tables of several of these apart.
    id: u64,
    hasher: RandomState,
    all: RwLock<HashMap<u64, Arc<RequestSeries>>>,
    /// By method and scheme.
    active: Box<[[OnceLock<Arc<Series>>; 2]]>,
    methods: Methods,
    metrics: Arc<Metrics>,
}

/// Whose series it is, and the series.
type Remembered = Option<(u64, Arc<RequestSeries>)>;

thread_local! {
    static LAST: RefCell<[Remembered; REMEMBERED]> =
        const { RefCell::new([const { None }; REMEMBERED]) };
}

impl Key<'_> {
    /// Where a thread remembers it. In few steps, each of which waits for the one before.
    fn place(&self) -> usize {
        let Start { method, is_tls, version } = self.start;
        let numbers = u64::from(method) << 32 | u64::from(self.status) << 1 | u64::from(is_tls);
        FxBuildHasher.hash_one((numbers, version, self.route, self.error_type)) as usize % REMEMBERED
    }
}

impl Start {
    pub(super) fn of(facts: &Facts) -> Self {
        Start { method: facts.method_place, is_tls: facts.peer.is_https(), version: facts.version }
    }

    fn attributes(self, methods: &Methods) -> [(&'static str, Value); 2] {
        let scheme = if self.is_tls { "https" } else { "http" };
        [
            (semconv::HTTP_REQUEST_METHOD, Value::Text(methods.at(self.method).to_owned())),
            (semconv::URL_SCHEME, Value::Text(scheme.to_owned())),
        ]
    }
}

impl Bound {
    pub(super) fn new(metrics: &Arc<Metrics>, methods: Methods) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Bound {
            id: NEXT.fetch_add(1, Relaxed),
            hasher: RandomState::new(),
            all: RwLock::default(),
            active: (0..=methods.len()).map(|_| Default::default()).collect(),
            methods,
            metrics: Arc::clone(metrics),
        }
    }

    /// The number of requests of this kind that are under way.
    pub(super) fn active(&self, start: Start) -> &Arc<Series> {
        let method = usize::from(start.method).min(self.methods.len());
        self.active[method][usize::from(start.is_tls)].get_or_init(|| {
            let attributes = AttributeSet::of_host(start.attributes(&self.methods));
            self.metrics.series_as(&host::ACTIVE_REQUESTS, attributes)
        })
    }

    /// Calls `with` with the series of requests of this kind.
    pub(super) fn with(&self, key: Key<'_>, with: impl FnOnce(&RequestSeries)) {
        // Routes that are made to share a place are only slower; the hash of the map behind has a secret key.
        let place = key.place();
        LAST.with_borrow_mut(|last| match &mut last[place] {
            Some((id, series)) if *id == self.id && series.is(key) => with(series),
            slot => {
                let series = self.find(key);
                with(&series);
                *slot = Some((self.id, series));
            }
        });
    }

    fn find(&self, key: Key<'_>) -> Arc<RequestSeries> {
        let hash = self.hasher.hash_one(key);
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let is_full = all.len() >= MAX_SERIES;
        match all.get(&hash) {
            Some(found) if found.is(key) => return Arc::clone(found),
            // Two of the same hash: the later one is looked up each time.
            Some(_) => return Arc::new(self.bind(key)),
            None => drop(all),
        }
        let made = Arc::new(self.bind(key));
        if !is_full {
            let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(hash).or_insert_with(|| Arc::clone(&made));
        }
        made
    }

    fn bind(&self, key: Key<'_>) -> RequestSeries {
        let Key { start, status, route, error_type } = key;
        let text = |text: &str| Value::Text(text.to_owned());
        let attributes = start.attributes(&self.methods).into_iter().chain(
            [
                (status > 0).then(|| (semconv::HTTP_RESPONSE_STATUS_CODE, Value::Int(status.into()))),
                route.map(|route| (semconv::HTTP_ROUTE, text(route))),
                error_type.map(|error| (semconv::ERROR_TYPE, text(error))),
                protocol_version(start.version)
                    .map(|version| (semconv::NETWORK_PROTOCOL_VERSION, text(version))),
            ]
            .into_iter()
            .flatten(),
        );
        let attributes = AttributeSet::of_host(attributes);
        let series = |definition| self.metrics.series_as(definition, attributes.clone());
        RequestSeries {
            duration: series(&host::REQUEST_DURATION),
            request_size: series(&host::REQUEST_BODY_SIZE),
            response_size: series(&host::RESPONSE_BODY_SIZE),
            start,
            status,
            route: route.map(Into::into),
            error_type: error_type.map(Into::into),
        }
    }
}

impl RequestSeries {
    fn is(&self, key: Key<'_>) -> bool {
        self.start == key.start
            && self.status == key.status
            && self.route.as_deref() == key.route
            && self.error_type.as_deref() == key.error_type
    }
}
