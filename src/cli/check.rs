//! `pounce check`: everything that is wrong with configuration and component, and what is in force, without serving.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::{MISTAKE, columns, flags, output, progress};
use crate::app::{HARDEN_HINT, Offer};
use crate::config::{self, Config, Described, Harden, InForce, Mistake, Resolved};
use crate::guest::{self, Cost, Examined, Import, mib};
use pounce_telemetry::logs::printable;

const AFTER_HELP: &str = "\
What it does:
  Reads configuration and component as pounce serve would, compiles the component, and looks at
  what it imports and exports. Nothing is served or sent, no guest runs, and no network is needed.
  Without a component, it checks the configuration alone.

Output:
  On standard output, for each setting its value and who set it: a --flag, a variable, default, or
  FILE:LINE:COLUMN; secrets are left out. Settings in capitals are set by that standard variable
  alone. Then the listeners' certificates with their names and when they expire, what of http.harden
  this kernel can do (if it is on), and the components,
  each with its own settings and a word for each import: ok, refused (it is there, but the settings allow none of its calls)
  or missing. All mistakes are on standard error. With --format json, all of it is one object on
  standard output: ok, settings, certificates, hardening, component (the first), components, warnings, mistakes.

Exit status:
  0  it can be served
  2  a mistake in the command line, the configuration or the component

Examples:
  Before a deployment, with the variables and the file that it will have:
    pounce check --config pounce.toml

  What would be sent where:
    pounce check app.wasm | grep OTLP

  In a pipeline:
    pounce check app.wasm --format json | jq .settings";

pub(super) fn command() -> Command {
    Command::new("check").about("Checks configuration and component without serving").defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .help("Form of the report: text or json [default: text]")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .hide_possible_values(true);
    let command = command
        .long_about(
            "Checks configuration and component without serving, tells all mistakes at once, and shows every \
             setting with where its value comes from.",
        )
        .max_term_width(100)
        .args_override_self(true)
        .arg(format)
        .after_help("It takes every option of pounce serve: see --help.")
        .after_long_help(AFTER_HELP);
    flags::add(command, "check", |option| option.section != "dev")
}

/// What was found.
struct Report<'a> {
    config: &'a Config,
    in_force: &'a [InForce],
    /// What this kernel can restrict, where that is wanted.
    offer: Option<Offer>,
    components: Vec<Component<'a>>,
    mistakes: Vec<Mistake>,
}

/// A component, as it would be served.
struct Component<'a> {
    name: String,
    path: PathBuf,
    /// Loaded when a request asks for it.
    lazy: bool,
    /// What it has in force of its own.
    own: &'a [InForce],
    found: Examined,
}

/// A certificate of the listeners.
struct CertificateRow {
    file: String,
    names: Vec<String>,
    expires: String,
}

/// Checks what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    let Resolved { loaded, mistakes: of_settings } = config::resolve(flags::sources(matches, false));
    let mut mistakes = unknown;
    mistakes.extend(of_settings);
    let components = loaded.config.each().into_iter().filter_map(|config| {
        let path = config.component.clone()?;
        let name = config.component_name().unwrap_or_default();
        let own = loaded.own_in_force.iter().find(|(of, _)| *of == name);
        let own = own.map(|(_, own)| own.as_slice()).unwrap_or_default();
        let found = guest::examine(&path, &config, progress::compiling());
        Some(Component { name, path, lazy: config.lazy, own, found })
    });
    let components = components.collect();
    let offer = (loaded.config.http.harden != Harden::Off).then(Offer::of_kernel);
    let refusal = offer.as_ref().and_then(|offer| offer.refusal(loaded.config.http.harden));
    mistakes.extend(refusal.map(|why| Mistake::new("", why, HARDEN_HINT)));
    let report = Report { config: &loaded.config, in_force: &loaded.in_force, offer, components, mistakes };

    let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    output::report(&if json { report.json() } else { report.text() });
    output::mistakes(&report.mistakes);
    for (path, problem) in report.problems() {
        output::error(format_args!("component `{}` cannot be served: {problem}", path.display()));
    }
    if report.count() == 0 { ExitCode::SUCCESS } else { ExitCode::from(MISTAKE) }
}

impl Report<'_> {
    fn problems<'a>(&'a self) -> impl Iterator<Item = (&'a Path, &'a str)> {
        let of =
            |one: &'a Component<'_>| one.found.problems.iter().map(|problem| (&*one.path, problem.as_str()));
        self.components.iter().flat_map(of)
    }

    /// The certificates of the listeners, those that can be read.
    fn certificates(&self) -> impl Iterator<Item = CertificateRow> {
        self.config.http.tls_cert.iter().filter_map(|file| {
            let described = Described::read(file.certificates().first()?).ok()?;
            Some(CertificateRow {
                file: file.path().display().to_string(),
                names: described.names.clone(),
                expires: httpdate::fmt_http_date(described.not_after),
            })
        })
    }

    fn warnings(&self) -> impl Iterator<Item = &str> {
        let of_component = self.components.iter().flat_map(|component| &component.found.warnings);
        self.config.warnings.iter().chain(of_component).map(String::as_str)
    }

    fn count(&self) -> usize {
        self.mistakes.len() + self.problems().count()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let row = |one: &InForce| {
            let own = one.key.strip_prefix(one.section).and_then(|key| key.strip_prefix('.'));
            [own.unwrap_or(&one.key).to_owned(), one.value.clone(), one.source.to_string()]
        };
        for section in self.in_force.chunk_by(|one, next| one.section == next.section) {
            let space = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{space}[{}]\n", section[0].section));
            let rows: Vec<_> = section.iter().map(row).collect();
            text.extend(columns::align(&rows).iter().map(|row| format!("  {row}\n")));
        }
        for one in self.certificates() {
            text.push_str(&format!("\ncertificate {}\n", one.file));
            let rows = [["names".to_owned(), one.names.join(", ")], ["expires".to_owned(), one.expires]];
            text.extend(columns::align(&rows).iter().map(|row| format!("  {row}\n")));
        }
        if let Some(offer) = &self.offer {
            let found =
                |is_there| if is_there { "this kernel has it" } else { "this kernel does not have it" };
            let landlock =
                format!("{} (full, partial or none of it is in this kernel)", offer.landlock.name());
            let mut rows = vec![["landlock", &landlock], ["seccomp", found(offer.seccomp)]];
            let missing = offer.all_missing();
            rows.extend(missing.iter().map(|what| ["not restricted", what]));
            text.push_str("\nhardening\n");
            let rows: Vec<_> = rows.into_iter().map(|row| row.map(str::to_owned)).collect();
            text.extend(columns::align(&rows).iter().map(|row| format!("  {row}\n")));
        }
        for component in &self.components {
            text.push_str(&format!("\ncomponent {}\n", component.path.display()));
            text.extend(self.describe(component).iter().map(|row| format!("  {row}\n")));
        }
        text.push('\n');
        text.extend(self.warnings().map(|warning| format!("warning: {warning}\n")));
        text.push_str(&match (self.count(), !self.components.is_empty()) {
            (0, true) => "no mistakes: it can be served\n".to_owned(),
            (0, false) => "no mistakes in the configuration; no component was given\n".to_owned(),
            (1, _) => "1 mistake: see standard error\n".to_owned(),
            (count, _) => format!("{count} mistakes: see standard error\n"),
        });
        // Names of imports and paths are anybody's text.
        text.lines().map(|line| format!("{}\n", printable(line).trim_end())).collect()
    }

    /// The lines about a component: what it is called and has for itself, where there are several, and what it is.
    fn describe(&self, component: &Component<'_>) -> Vec<String> {
        let mut rows = Vec::new();
        if self.components.len() > 1 {
            rows.push(["name".to_owned(), component.name.clone()]);
            let routes = self.config.http.route.iter().filter(|route| route.component == component.name);
            rows.extend(routes.map(|route| ["route".to_owned(), route.to_string()]));
        }
        if component.lazy {
            rows.push(["lazy".to_owned(), "loaded when a request asks for it".to_owned()]);
        }
        let own =
            component.own.iter().map(|one| [one.key.clone(), one.value.clone(), one.source.to_string()]);
        let own = columns::align(&own.collect::<Vec<_>>());
        rows.extend(own.into_iter().map(|one| ["setting".to_owned(), one]));
        let mut lines = columns::align(&rows);
        lines.extend(describe(&component.found));
        lines
    }

    fn json(&self) -> String {
        let settings = self.in_force.iter().map(setting);
        let components: Vec<_> = self.components.iter().map(Component::json).collect();
        let certificates = self
            .certificates()
            .map(|one| json!({ "file": one.file, "names": one.names, "expires": one.expires }));
        let mistakes = self
            .mistakes
            .iter()
            .map(|mistake| json!({ "place": mistake.place, "what": mistake.what, "hint": mistake.hint }));
        let problems = self
            .problems()
            .map(|(path, problem)| json!({ "place": path.to_string_lossy(), "what": problem, "hint": null }));
        let report = json!({
            "ok": self.count() == 0,
            "settings": settings.collect::<Vec<_>>(),
            "certificates": certificates.collect::<Vec<_>>(),
            "hardening": self.offer.as_ref().map(|offer| json!({
                "landlock": offer.landlock.name(),
                "seccomp": offer.seccomp,
                "missing": offer.all_missing(),
            })),
            "component": components.first(),
            "components": components,
            "warnings": self.warnings().collect::<Vec<_>>(),
            "mistakes": mistakes.chain(problems).collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }
}

fn setting(one: &InForce) -> serde_json::Value {
    json!({ "key": one.key, "value": one.value, "source": one.source.to_string() })
}

impl Component<'_> {
    fn json(&self) -> serde_json::Value {
        let found = &self.found;
        let imports = found.imports.iter().map(|import| {
            json!({
                "name": import.name,
                "state": state(import),
                "by": import.by.as_ref().ok(),
                "note": import.by.as_ref().err().or(import.note.as_ref()),
            })
        });
        json!({
            "name": self.name,
            "path": self.path.to_string_lossy(),
            "lazy": self.lazy,
            "settings": self.own.iter().map(setting).collect::<Vec<_>>(),
            "kind": found.kind,
            "size": found.size,
            "composed": found.composed,
            "isolation": found.isolation,
            "instance": found.cost.map(|cost| json!({
                "core_modules": cost.modules,
                "memories": cost.memories,
                "tables": cost.tables,
                "least_memory": cost.least_memory,
                "most_memory": cost.most_memory,
                "slots": cost.slots,
                "fit_in_total_memory": cost.instances(),
            })),
            "exports": found.exports,
            "imports": imports.collect::<Vec<_>>(),
        })
    }
}

/// `ok`, `refused` or `missing`.
fn state(import: &Import) -> &'static str {
    match import.by {
        Ok(_) if import.refused => "refused",
        Ok(_) => "ok",
        Err(_) => "missing",
    }
}

/// The lines about what a component is.
fn describe(found: &Examined) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    if let Some(kind) = &found.kind {
        let composed = if found.composed { ", several components composed" } else { "" };
        row("kind", format!("{kind}{composed}"));
    }
    if found.size > 0 {
        row("size", format!("{} ({} bytes)", mib(found.size), found.size));
    }
    if let Some(isolation) = &found.isolation {
        row("isolation", isolation.clone());
    }
    if let Some(cost) = found.cost {
        let Cost { modules, memories, tables, slots, .. } = cost;
        row(
            "instance",
            format!(
                "core modules: {modules}, memories: {memories}, tables: {tables}; slots for {slots} at once"
            ),
        );
        let (least, most) = (mib(cost.least_memory), mib(cost.most_memory));
        let fit =
            format!("guest.max-total-memory ({}) has room for {}", mib(cost.total_memory), cost.instances());
        row("memory", format!("{least} of each instance at first, {most} at most; {fit} that do not grow"));
    }
    for export in &found.exports {
        row("export", export.clone());
    }
    let imports = found.imports.iter().map(|import| {
        let (by, note) = match &import.by {
            Ok(by) => (format!("by {by}"), import.note.clone().unwrap_or_default()),
            Err(advice) => (String::new(), advice.clone()),
        };
        [state(import).to_owned(), import.name.clone(), by, note]
    });
    for import in columns::align(&imports.collect::<Vec<_>>()) {
        row("import", import);
    }
    columns::align(&rows)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("check", super::command());
    }
}
