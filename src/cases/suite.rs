//! A case file as a whole: the settings it is run with, all its cases at once, and what came of them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use pounce_telemetry::logs::{LogSettings, one_line};
use pounce_telemetry::settings::Limits;
use pounce_telemetry::{Propagator, RecentTraces};

use super::expect::Case;
use super::pattern::Pattern;
use super::read::{self, keys};
use super::run::{self, Outcome, Shared};
use super::update;
use crate::app::{App, StartError, Surroundings};
use crate::config::{
    self, Config, Isolation, Layer, Loaded, Mistake, Otel, Resolved, Sampler, Source, Sources, TrustParent,
    Vars, content,
};
use crate::guest::{Compiling, Mocks};

/// Traces that are kept until they have been looked at: far more than cases run at once, whose traces they are.
const KEPT: RecentTraces = RecentTraces { traces: 1024, memory: 256 * 1024 * 1024 };

/// A case file, read.
pub(crate) struct Suite {
    path: PathBuf,
    text: String,
    cases: Vec<Case>,
    loaded: Loaded,
}

/// What came of a file.
pub(crate) struct Report {
    pub(crate) path: PathBuf,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) took: Duration,
    /// The file's text with what was seen, where that is not what it says.
    pub(crate) updated: Option<String>,
    /// Why not all of its cases have run, if so.
    pub(crate) error: Option<String>,
}

impl Report {
    /// What is left of a file whose component can't be served.
    pub(crate) fn unserved(path: PathBuf, error: &StartError) -> Self {
        let error = Some(error.whole());
        Self { path, outcomes: Vec::new(), took: Duration::ZERO, updated: None, error }
    }
}

/// How cases are run.
pub(crate) struct Run {
    /// Cases at once.
    pub(crate) jobs: usize,
    /// How the component is compiled where it has to be.
    pub(crate) compiling: Compiling,
}

impl Suite {
    /// Reads a file; components that were typed stand for those that it names, flags for its settings. The environment is
    /// not asked: a case means the same everywhere.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub(crate) fn read(path: &Path, components: Vec<PathBuf>, flags: Layer) -> Result<Self, Vec<Mistake>> {
        let text = content::read_text(path).map_err(|error| {
            let hint = "check the path of --cases, and the file's permissions";
            vec![Mistake::new(one_line(&path.display().to_string()), error.to_string(), hint)]
        })?;
        let cases = read::parse(&text, path);
        let Resolved { mut loaded, mut mistakes } = config::resolve(Sources {
            flags,
            components,
            file: Some(path.to_owned()),
            text: Some(text.clone()),
            is_file_alone: true,
            beside: keys::FILE,
            vars: Vars::withheld(),
            ..Sources::default()
        });
        // What is no TOML both readers have seen.
        let found = cases.as_ref().err().into_iter().flatten();
        let news: Vec<_> = found.filter(|one| !mistakes.contains(one)).cloned().collect();
        mistakes.extend(news);
        let config = &loaded.config;
        if config.names().is_empty() && mistakes.is_empty() {
            let hint = "name its file: pounce test app.wasm --cases FILE, or add [[component]] with a source to the file";
            mistakes.push(Mistake::new(
                one_line(&path.display().to_string()),
                "there is no component to test",
                hint,
            ));
        }
        let everybodys = loaded.in_force.iter().chain(loaded.own_in_force.iter().flat_map(|(_, own)| own));
        for set in everybodys.filter(|one| one.key == "guest.allow-outbound" && one.source != Source::Default)
        {
            let hint = "say `pass` in its place: whom guests may really call while they are tested";
            let place = set.source.to_string();
            mistakes.push(Mistake::new(place, "guest.allow-outbound has no effect here", hint));
        }
        let cases = match cases {
            Ok(cases) if mistakes.is_empty() => cases,
            _ => return Err(in_order(mistakes)),
        };
        prepare(&mut loaded.config, &cases);
        Ok(Self { path: path.to_owned(), text, cases, loaded })
    }

    /// Keeps the cases whose names match.
    pub(crate) fn keep(&mut self, filter: &Pattern) {
        self.cases.retain(|case| filter.matches(&case.name));
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How the program's own log is written, as the settings say.
    pub(crate) fn log_settings(&self) -> LogSettings {
        self.loaded.config.log_settings()
    }

    /// Cases that will run.
    pub(crate) fn len(&self) -> usize {
        self.cases.len()
    }

    /// Loads the component and runs all cases, some at once; `tell` is told of each in the order of the file.
    ///
    /// # Errors
    /// The component can't be served.
    pub(crate) async fn run(self, run: Run, mut tell: impl FnMut(&Outcome)) -> Result<Report, StartError> {
        let began = Instant::now();
        let Self { path, text, cases, loaded } = self;
        let propagator = Propagator::new(&loaded.config.otel.propagators);
        let mocks = Arc::new(Mocks::default());
        let around = Surroundings { mocks: Some(mocks.clone()), ..Surroundings::new(run.compiling) };
        let app = App::build_within(loaded, around).await?;
        let shared = Arc::new(Shared::new(app.caller(), mocks));
        let mut known = HashSet::new();
        let prepared = cases.into_iter().map(|case| {
            let prepared = run::prepare(&case, &propagator).and_then(|prepared| match known.insert(prepared.trace_id.0) {
                true => Ok(prepared),
                false => Err("another case of the file has the same trace id, by which they are told apart; give it another".to_owned()),
            });
            (case, prepared)
        });
        let running = prepared.map(|(case, prepared)| {
            let shared = shared.clone();
            async move {
                let (name, line) = (case.name.clone(), case.line);
                // A task of its own, so that guests compute on all processors.
                let running = tokio::spawn(async move { run::run(&case, prepared, &shared).await });
                running.await.unwrap_or_else(|error| Outcome::died(name, line, &error.to_string()))
            }
        });
        let mut outcomes = Vec::new();
        let mut done = stream::iter(running).buffered(run.jobs.max(1));
        while let Some(outcome) = done.next().await {
            tell(&outcome);
            outcomes.push(outcome);
        }
        drop(done);
        // Ends what still works, and waits for nobody.
        drop(app);
        let updated = update::updated(&text, &outcomes);
        Ok(Report { path, outcomes, took: began.elapsed(), updated, error: None })
    }
}

/// In the order of the file, as far as they are of the file.
fn in_order(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let place = |mistake: &Mistake| {
        let mut numbers = mistake.place.split(':').filter_map(|part| part.parse::<usize>().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    };
    mistakes.sort_by_key(place);
    mistakes
}

/// Makes settings of a server those of a test: it listens nowhere, sends nothing, and records all.
fn prepare(config: &mut Config, cases: &[Case]) {
    config.http.listen.clear();
    config.admin.listen = None;
    config.log.access = false;
    config.kept_traces = Some(KEPT);
    let record_all = |otel: &mut Otel| {
        *otel = Otel {
            disabled: false,
            endpoint: None,
            exporter: config::Exporter::Otlp,
            spool: None,
            sampler: Sampler::AlwaysOn,
            sample_routes: Vec::new(),
            keep_errors: false,
            keep_slow: config::Timeout(None),
            trust_parent: TrustParent::default(),
            limits: Limits::default(),
            ..otel.clone()
        };
    };
    record_all(&mut config.otel);
    let components = &mut config.components;
    components.iter_mut().filter_map(|component| component.otel.as_mut()).for_each(record_all);
    // Of each case the mocks decide who may; the client has to let through what any of them may.
    let pass: Vec<_> = cases.iter().flat_map(|case| case.pass.iter().cloned()).collect();
    let of_components = config.components.iter_mut().filter_map(|component| component.guest.as_mut());
    for guest in of_components.chain([&mut config.guest]) {
        guest.allow_outbound.clone_from(&pass);
        // Cases that share an instance would share its traps.
        guest.isolation.get_or_insert(Isolation::Request);
    }
}
