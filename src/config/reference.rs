//! `docs/configuration.md`: every option with its four names, its default and its help.
//!
//! Built in tests only: they compare it with the committed file, and write that with `BLESS=1`.

use super::declared::Declared;
use super::example::wrap;
use super::{Sources, load, options};

const HEAD: &str = "\
# Configuration

<!-- Made from the options in src/config/options.rs by `make bless`: change it there. -->

Every option is a flag, a variable and a key of the file that `--config` names. **A flag beats a
`POUNCE_*` variable, that beats an OpenTelemetry variable, that beats the file, and that the
default.** An empty variable counts as unset; a flag that may be repeated stands for a list of the
file.

| | |
| --- | --- |
| a file to begin with | [`pounce.example.toml`](../pounce.example.toml), which has every key |
| what is in force, and who set it | `pounce check` ([how](operating.md#before-you-deploy-pounce-check)) |
| several components, `[[component]]` and `[[route]]` | [routes and components](routing.md); keys of `[guest]` and `[otel]` may be set for one component alone |
| what a reload puts in force | `[guest]`, components and routes; the rest needs a restart ([reloading](operating.md#reloading)) |
| times | `250ms`, `30s`, `5m`; `none` where there may be no limit |
| sizes | `64KiB`, `128MiB`, `2GiB`; `none` where there may be no limit |

`pounce serve`, `pounce check` and `pounce dev` take all of them, `pounce doctor` those of telemetry
and log. `[dev]` is of `pounce dev` alone, which has [other defaults](develop.md).
";

const STANDARD: &str = "
## OpenTelemetry's variables without an option

They mean what OpenTelemetry's specification says; [telemetry](telemetry.md) says what comes of
them. A variable that is malformed is warned about and ignored, but for an endpoint or a sampler,
which are mistakes. Variables of one signal beat those for all of them
(`OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_EXPORTER_OTLP_INSECURE`, `OTEL_ATTRIBUTE_COUNT_LIMIT`,
`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`).

| variable | default |
| --- | --- |
";

/// The whole page.
fn page() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for option in options::all() {
        if option.section != section {
            section = option.section;
            text.push_str(&contents(section, option.heading));
        }
        text.push_str(&entry(option));
    }
    text.push_str(STANDARD);
    let loaded = load(Sources::default()).unwrap_or_else(|mistakes| panic!("defaults are valid: {mistakes}"));
    for setting in loaded.in_force.iter().filter(|setting| !setting.key.contains('.')) {
        text.push_str(&format!("| `{}` | {} |\n", setting.key, setting.value));
    }
    text
}

/// The head of a section: its options with their defaults and short help, each a link to its entry.
fn contents(section: &str, heading: &str) -> String {
    let mut text = format!("\n## {heading}: `[{section}]`\n\n| key | default | |\n| --- | --- | --- |\n");
    for option in options::all().filter(|option| option.section == section) {
        let key = option.key();
        text.push_str(&format!(
            "| [`{}`](#{}) | {} | {} |\n",
            option.name(),
            key.replace('.', ""),
            option.default,
            escaped(&paragraphs(option)[0]).replace('|', "\\|"),
        ));
    }
    text
}

fn entry(option: &Declared) -> String {
    let value = if option.switch { String::new() } else { format!(" {}", option.value_name) };
    let mut text = format!("\n### {}\n\n`--{}{value}`, `{}`", option.key(), option.flag(), option.variable());
    for variable in option.standard {
        text.push_str(&format!(", `{variable}`"));
    }
    text.push_str(&format!(". Default: {}.", option.default));
    if option.list {
        text.push_str(" May be repeated.");
    }
    let mut text = folded(&text);
    for paragraph in paragraphs(option) {
        text.push('\n');
        text.push_str(&folded(&escaped(&paragraph)));
    }
    if option.default != option.example {
        text.push_str(&format!("\n```toml\n{}\n```\n", option.assignment()));
    }
    text
}

/// As [`Declared::paragraphs`], with what is marked as code.
fn paragraphs(option: &Declared) -> Vec<String> {
    let lines: Vec<&str> = option.docs.iter().map(|line| line.trim()).collect();
    lines.split(|line| line.is_empty()).map(|paragraph| paragraph.join(" ")).collect()
}

/// Text for a page: outside code, characters that Markdown heeds have a backslash.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for character in text.chars() {
        in_code ^= character == '`';
        if !in_code && matches!(character, '*' | '[' | ']' | '_' | '<') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Each line within 100 columns.
fn folded(text: &str) -> String {
    let lines = text.lines().flat_map(|line| wrap(line, 100));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_committed_page_is_what_the_options_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        crate::config::blessed::matches(&path, &super::page());
    }
}
