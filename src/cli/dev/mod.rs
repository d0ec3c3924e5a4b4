//! `pounce dev`: serves a component for the person who writes it. It finds the component, builds it when its sources change,
//! and takes keys; what is served and how is left to `App`, with the defaults of `config/dev`.

mod build;
mod find;
mod keys;
mod sources;
mod viewer;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{ArgMatches, Command};

use super::{MISTAKE, flags, output, progress, serve};
use crate::app::{App, Stops, Supervisor, Surroundings};
use crate::config::{self, InForce, Loaded, Mistake, Mistakes, Sources};
use crate::guest;
use build::Build;
use keys::Keys;
use watch::Watch;

const AFTER_HELP: &str = "\
Values and sources:
  It takes every option of pounce serve, from the same flags, variables and file: see
  pounce serve --help.

What is other than in pounce serve, unless it is set:
  --watch is on, the admin listener with the trace viewer is on 127.0.0.1:8081 and keeps the
  last 1000 traces, every request is traced and is a line on the terminal (or of the log), and
  the guest may call and look up every host but this server and link-local addresses. What it
  called is listed at the end, as the flags that production needs. An error page tells what
  happened, with the guest's backtrace and last output, to whoever asks: do not let strangers in.

Which component is served:
  The one that is named here or in --config; else the one that is found: in the working
  directory, in dist, in build, and in target/wasm32-*/debug and release (in CARGO_TARGET_DIR,
  if set). Of several with one name the newest is taken; of several names, the one that
  --build has just written.

Keys, on a terminal:
  r  builds again (or loads again, without --build)
  o  opens the trace viewer in a browser
  q  drains and stops; once more ends the drain

Examples:
  Serve a component, and load it again when it changes:
    pounce dev app.wasm

  Build it, find it, and build it again when a source changes:
    pounce dev --build 'cargo build --target wasm32-wasip2'

  Each request as the tree of its spans:
    pounce dev app.wasm --tree";

pub(super) fn command() -> Command {
    Command::new("dev")
        .about("Serves a component for its developer: rebuilds, traces, and tells what went wrong")
        .defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let command = command
        .long_about(
            "Serves a component for its developer: it is built and loaded again when it changes, every request is a \
             line on the terminal and a trace in the viewer, and errors are told in full.",
        )
        .max_term_width(100)
        .args_override_self(true)
        .after_help("Each option can also be set by a variable or in a file: see --help.")
        .after_long_help(AFTER_HELP);
    flags::add(command, "serve", |_| true)
}

/// What was typed, to be read again at each reload.
#[derive(Clone)]
struct Typed {
    matches: ArgMatches,
    /// The component that was found, where none was named.
    found: Option<PathBuf>,
}

impl Typed {
    fn load(&self, needs_component: bool) -> Result<Loaded, Mistakes> {
        let mut sources = Sources { is_dev: true, ..flags::sources(&self.matches, needs_component) };
        sources.components.extend(self.found.clone());
        config::load(sources)
    }
}

/// Serves what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>, start_threads: fn()) -> ExitCode {
    let typed = Typed { matches: matches.clone(), found: None };
    match typed.load(false).and_then(with_sources) {
        Ok(loaded) if unknown.is_empty() => {
            let settings = loaded.clone();
            serve::in_runtime(&settings, start_threads, |around| develop(typed, loaded, around))
        }
        loaded => {
            output::mistakes(&unknown);
            if let Err(mistakes) = loaded {
                output::mistakes(mistakes.iter());
            }
            ExitCode::from(MISTAKE)
        }
    }
}

/// These settings, if the folders of sources that they name are there: of one that is not no change would ever be seen.
fn with_sources(loaded: Loaded) -> Result<Loaded, Mistakes> {
    let is_set = |one: &&InForce| one.key == "dev.source";
    let place = loaded.in_force.iter().find(is_set).map_or_else(String::new, |one| one.source.to_string());
    let missing = loaded.config.dev.source.iter().filter(|folder| !folder.is_dir());
    let mistakes: Vec<_> = missing
        .map(|folder| {
            let what = format!("names no directory: `{}`", folder.display());
            Mistake::new(&place, what, "create it, or name the directory that your sources are in")
        })
        .collect();
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

async fn develop(typed: Typed, loaded: Loaded, around: Surroundings) -> ExitCode {
    let Some(mut stops) = serve::stops() else { return ExitCode::FAILURE };
    let mut keys = Keys::take();
    let watch = loaded.config.dev.build.as_ref().map(|command| {
        let roots = loaded.config.dev.source.clone();
        Watch::new(Build::new(command), if roots.is_empty() { vec![PathBuf::from(".")] } else { roots })
    });
    let mut watch = watch;
    let prepared = tokio::select! {
        prepared = prepare(typed, &loaded, watch.as_mut(), &mut keys) => prepared,
        signal = stops.next() => {
            tracing::info!(signal, "told to stop before there was a component to serve");
            return ExitCode::SUCCESS;
        }
    };
    let (typed, loaded) = match prepared {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let source = Box::new(move || typed.load(true));
    match serve::build(loaded, around, source, stops.next()).await {
        Ok(Ok(app)) => serve_until_stopped(app, stops, watch, keys).await,
        Ok(Err(_signal)) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}

/// Builds the component, where it is to be built, and finds it, where nobody has named one. With a build it waits for
/// changes until there is something that can be served; else the error is the exit status.
async fn prepare(
    mut typed: Typed,
    loaded: &Loaded,
    mut watch: Option<&mut Watch>,
    keys: &mut Keys,
) -> Result<(Typed, Loaded), ExitCode> {
    loop {
        let begun = SystemTime::now();
        let mut problems = Vec::new();
        if let Some(watch) = watch.as_deref_mut()
            && let Err(why) = watch.build().await
        {
            problems.push(why);
        }
        if problems.is_empty() {
            match look(&mut typed, loaded, begun, watch.is_some()).await {
                Ok(loaded) => return Ok((typed, loaded)),
                Err(found) => problems = found,
            }
        }
        problems.iter().for_each(output::error);
        let Some(watch) = watch.as_deref_mut() else { return Err(ExitCode::from(MISTAKE)) };
        tracing::info!("there is nothing to serve yet: waiting for a source to change");
        tokio::select! {
            changed = watch.changed() => tracing::info!("{changed}"),
            () = keys.rebuild() => {}
        }
        typed.found = None;
    }
}

/// Finds the component, and the settings with it; `is_built` by our own command, after `begun`.
async fn look(
    typed: &mut Typed,
    loaded: &Loaded,
    begun: SystemTime,
    is_built: bool,
) -> Result<Loaded, Vec<String>> {
    if loaded.config.names().is_empty() {
        let found = find::component(is_built.then_some(begun)).map_err(|why| vec![why])?;
        tracing::info!("serving {}: {}", found.path.display(), found.why);
        typed.found = Some(found.path);
    }
    let loaded =
        typed.load(true).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if !is_built {
        // Whether it can be served is found out when it is.
        return Ok(loaded);
    }
    let configs = loaded.config.each();
    let examining = tokio::task::spawn_blocking(move || {
        let problems = configs.into_iter().filter_map(|config| {
            let path = config.component.clone()?;
            let found = guest::examine(&path, &config, progress::compiling());
            let told = |problem| format!("component `{}` cannot be served: {problem}", path.display());
            Some(found.problems.into_iter().map(told).collect::<Vec<_>>())
        });
        problems.flatten().collect::<Vec<_>>()
    });
    match examining.await {
        Ok(problems) if problems.is_empty() => Ok(loaded),
        Ok(problems) => Err(problems),
        Err(error) => Err(vec![format!("the thread that looks at the component died: {error}")]),
    }
}

async fn serve_until_stopped(app: App, stops: Stops, watch: Option<Watch>, mut keys: Keys) -> ExitCode {
    serve::say_ready(&app);
    let viewer = app.viewer_url();
    if let Some(viewer) = &viewer {
        tracing::info!("traces are on {viewer}");
    }
    if keys.are_taken() {
        tracing::info!(
            "keys: r {}, o open the traces, q quit",
            if watch.is_some() { "rebuild" } else { "reload" }
        );
    }
    let reloader = app.reloader();
    let beside = async move {
        match watch {
            Some(mut watch) => watch.rebuild(&reloader, &mut keys, viewer.as_deref()).await,
            None => keys.reload(&reloader, viewer.as_deref()).await,
        }
    };
    let outcome = {
        let mut serving = std::pin::pin!(app.run_on(stops, Supervisor::NONE));
        // It ends with the server: a build that runs is stopped.
        tokio::select! {
            outcome = &mut serving => outcome,
            () = beside => serving.await,
        }
    };
    serve::exit_status(outcome)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("dev", super::command());
    }
}
