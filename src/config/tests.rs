//! Tests of loading as a whole: precedence, sources, and all mistakes at once.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

/// A file of its own for each test, taken away with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pounce-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("pounce.toml");
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
    }
}

fn flags(pairs: &[(&str, &str)]) -> Layer {
    let mut layer = BTreeMap::new();
    for (key, text) in pairs {
        let option = all_options().find(|option| option.key() == *key).unwrap();
        let given = Given { texts: vec![(*text).to_owned()], source: Source::Flag(option.flag()) };
        layer.insert((*key).to_owned(), given);
    }
    layer
}

fn with_vars(vars: &[(&'static str, &'static str)]) -> Result<Loaded, Mistakes> {
    load(Sources { vars: vars.iter().copied().collect(), ..Sources::default() })
}

fn source(loaded: &Loaded, key: &str) -> String {
    loaded.in_force.iter().find(|one| one.key == key).unwrap().source.to_string()
}

#[test]
fn what_nobody_set_is_shown_as_what_becomes_of_it() {
    let loaded = load(Sources::default()).unwrap();
    let shown = |key: &str| loaded.in_force.iter().find(|one| one.key == key).unwrap().to_string();
    assert_eq!(
        shown("guest.isolation"),
        "guest.isolation = request for wasi:http 0.2, compositions and Python, instance for 0.3 (default)"
    );
    assert_eq!(shown("otel.endpoint"), "otel.endpoint = none (default)");
    assert_eq!(shown("http.header-timeout"), "http.header-timeout = 10s (default)");
}

#[test]
fn inherited_sockets_stand_for_the_default_address_alone() {
    let own: &'static str = std::process::id().to_string().leak();
    let activated = [("LISTEN_PID", own), ("LISTEN_FDS", "2")];
    let loaded = with_vars(&activated).unwrap();
    assert_eq!((loaded.config.inherited, loaded.config.http.listen.len()), (2, 0));
    assert_eq!(source(&loaded, "http.listen"), "LISTEN_FDS");
    let loaded = with_vars(&[activated[0], activated[1], ("POUNCE_LISTEN", "127.0.0.1:8080")]).unwrap();
    assert_eq!((loaded.config.inherited, loaded.config.http.listen.len()), (2, 1));
    assert_eq!(source(&loaded, "http.listen"), "POUNCE_LISTEN");
}

fn told(result: Result<Loaded, Mistakes>) -> Vec<String> {
    result.unwrap_err().iter().map(|mistake| format!("{}: {}", mistake.place, mistake.what)).collect()
}

#[test]
fn a_flag_beats_our_variable_beats_the_standard_one_beats_the_file_beats_the_default() {
    let file = TempFile::new("precedence", "[otel]\nservice-name = \"file\"\n");
    let mut expected = vec![
        (
            flags(&[("otel.service-name", "flag")]),
            vec![("POUNCE_OTEL_SERVICE_NAME", "ours"), ("OTEL_SERVICE_NAME", "standard")],
            "flag",
            "--otel-service-name".to_owned(),
        ),
        (
            Layer::new(),
            vec![("POUNCE_OTEL_SERVICE_NAME", "ours"), ("OTEL_SERVICE_NAME", "standard")],
            "ours",
            "POUNCE_OTEL_SERVICE_NAME".to_owned(),
        ),
        (
            Layer::new(),
            vec![("POUNCE_OTEL_SERVICE_NAME", ""), ("OTEL_SERVICE_NAME", "standard")],
            "standard",
            "OTEL_SERVICE_NAME".to_owned(),
        ),
        (Layer::new(), vec![], "file", format!("{}:2:16", file.0.display())),
    ];
    for (flags, vars, value, from) in expected.drain(..) {
        let sources = Sources {
            flags,
            vars: vars.into_iter().collect(),
            file: Some(file.0.clone()),
            ..Sources::default()
        };
        let loaded = load(sources).unwrap();
        assert_eq!(loaded.config.otel.service_name.as_deref(), Some(value));
        assert_eq!(source(&loaded, "otel.service-name"), from);
    }
    let nothing = load(Sources::default()).unwrap();
    assert_eq!(source(&nothing, "otel.service-name"), "default");
    assert_eq!(nothing.config, Config::default());
}

/// Options whose examples are files that no machine has.
pub(super) const NEED_FILES: [&str; 8] = [
    "guest.artifact-key",
    "guest.dir",
    "http.tls-cert",
    "http.tls-client-ca",
    "http.tls-key",
    "otel.certificate",
    "otel.client-certificate",
    "otel.client-key",
];

#[test]
fn every_option_is_set_by_its_flag_its_variable_and_its_key() {
    for option in all_options().filter(|option| !NEED_FILES.contains(&option.key().as_str())) {
        let flag = load(Sources { flags: flags(&[(&option.key(), option.example)]), ..Sources::default() });
        assert_eq!(source(&flag.unwrap(), &option.key()), format!("--{}", option.flag()));

        let vars = Vars::from_iter([(option.variable().as_str(), option.example)]);
        let variable = load(Sources { vars, ..Sources::default() });
        assert_eq!(source(&variable.unwrap(), &option.key()), option.variable());

        let text = format!("[{}]\n{}\n", option.section, option.assignment());
        let file = TempFile::new(&option.flag(), &text);
        let key = load(Sources { file: Some(file.0.clone()), ..Sources::default() });
        assert!(source(&key.unwrap(), &option.key()).contains("pounce.toml:2:"), "{text}");
    }
}

#[test]
fn all_mistakes_of_all_sources_are_told_at_once() {
    let file = TempFile::new("mistakes", "[http]\nlissten = \"x\"\nidle-timeout = 30\n[colour]\n");
    let sources = Sources {
        flags: flags(&[("http.max-in-flight", "many"), ("guest.reuse", "0")]),
        vars: Vars::from_iter([
            ("POUNCE_LOG_LEVEL", "loud"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ]),
        file: Some(file.0.clone()),
        ..Sources::default()
    };
    let path = file.0.display();
    let expected = [
        format!("{path}:2:1: unknown key `http.lissten`"),
        format!("{path}:4:2: unknown key `colour`"),
        "--max-in-flight: `many` is not a whole number".to_owned(),
        format!("{path}:3:16: http.idle-timeout: `30` is not a duration: it has no unit"),
        "POUNCE_LOG_LEVEL: `loud` is not a log level".to_owned(),
        "OTEL_EXPORTER_OTLP_ENDPOINT: `localhost:4318` has no scheme".to_owned(),
        "--reuse: 0 is out of range".to_owned(),
    ];
    assert_eq!(told(load(sources)), expected);
}

#[test]
fn mistakes_never_repeat_secrets() {
    let sources = Sources {
        flags: flags(&[
            ("guest.env", "=hunter2"),
            ("guest.wasi-config", "hunter2"),
            ("otel.endpoint", "http://u:hunter2@x"),
            ("otel.headers", "hunter2"),
        ]),
        ..Sources::default()
    };
    let mistakes = load(sources).unwrap_err();
    assert_eq!(mistakes.iter().count(), 4);
    assert!(!mistakes.to_string().contains("hunter2"), "{mistakes}");
}

#[test]
fn settings_are_shown_without_secrets() {
    let sources = Sources {
        flags: flags(&[("guest.env", "TOKEN=hunter2"), ("otel.headers", "x-key=hunter2")]),
        ..Sources::default()
    };
    let loaded = load(sources).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"), "{loaded:?}");
    assert_eq!(loaded.config.guest.env[0].value, "hunter2");
    assert_eq!(loaded.config.otel.headers[0].1, "hunter2");
}

#[test]
fn a_component_is_typed_or_in_the_file_or_missed() {
    let missing = Sources { needs_component: true, ..Sources::default() };
    assert_eq!(told(load(missing)), [": there is no component to serve"]);

    let file = TempFile::new("component", "[[component]]\nname = \"shop\"\nsource = \"a/app.wasm\"\n");
    let from_file = Config::from_file(&file.0).unwrap();
    assert_eq!(from_file.component, Some(file.0.parent().unwrap().join("a/app.wasm")));
    assert_eq!(from_file.component_name().as_deref(), Some("shop"));

    let typed =
        Sources { file: Some(file.0.clone()), components: vec!["b.wasm".into()], ..Sources::default() };
    let typed = load(typed).unwrap().config;
    assert_eq!(
        (typed.component.as_deref(), typed.component_name().as_deref()),
        (Some(Path::new("b.wasm")), Some("b"))
    );
}

#[test]
fn the_file_may_be_named_by_a_variable_and_must_be_there() {
    let vars = Vars::from_iter([("POUNCE_CONFIG", "/no/such/pounce.toml")]);
    let told = told(load(Sources { vars, needs_component: true, ..Sources::default() }));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("/no/such/pounce.toml: can't be read"), "{told:?}");
}

#[test]
fn lists_in_variables_are_split_at_commas() {
    let loaded =
        with_vars(&[("POUNCE_LISTEN", "127.0.0.1:1, 127.0.0.1:2"), ("POUNCE_ARGS", "a\\,b,c\\d")]).unwrap();
    assert_eq!(loaded.config.http.listen.len(), 2);
    assert_eq!(loaded.config.guest.args, ["a,b", "c\\d"].map(|arg| Arg(arg.to_owned())));
}

#[test]
fn a_variable_that_is_nearly_an_option_is_warned_about() {
    let loaded =
        with_vars(&[("POUNCE_LISTN", "x"), ("POUNCE_SERVICE_HOST", "10.0.0.1"), ("POUNCE_PORT", "tcp")])
            .unwrap();
    assert_eq!(loaded.config.warnings, ["POUNCE_LISTN sets nothing: did you mean POUNCE_LISTEN?"]);
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let file = TempFile::new(
        "paths",
        "[http]\nlisten = \"unix:x.sock\"\n[guest]\ndir = \".::/here\"\nenv = [\"A=@token\"]\n",
    );
    let folder = file.0.parent().unwrap();
    std::fs::write(folder.join("token"), "t0p\n").unwrap();
    let config = Config::from_file(&file.0).unwrap();
    assert_eq!(config.http.listen, [ListenAddr::Unix(folder.join("x.sock"))]);
    assert_eq!(config.guest.dir[0].host, folder.join("."));
    assert_eq!(config.guest.env[0].value, "t0p");
}

#[test]
fn settings_from_code_are_checked_like_any_other() {
    let mut config = Config::new("app.wasm");
    assert_eq!(config.check(), Ok(()));
    // A program may call it without a socket.
    config.http.listen.clear();
    assert_eq!(config.check(), Ok(()));
    config.http.max_headers = 0;
    config.http.max_header_size = ByteSize(100);
    assert_eq!(config.check().unwrap_err().iter().count(), 2);
}
