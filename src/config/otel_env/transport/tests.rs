//! Tests of how OTLP is sent, per signal.

use std::path::PathBuf;

use crate::config::*;

const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.example");

fn load(vars: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    let sources = Sources { vars: vars.iter().copied().collect(), ..Sources::default() };
    crate::config::load(sources)
}

fn otel(vars: &[(&str, &str)]) -> Otel {
    let config = load(vars).unwrap().config;
    assert_eq!(config.warnings, [""; 0]);
    config.otel
}

/// How traces, metrics and logs are sent.
fn sent<T>(otel: &Otel, of: impl Fn(&Transport) -> T) -> [T; 3] {
    [&otel.transport, otel.transport_of(&otel.metrics.to), otel.transport_of(&otel.logs.to)].map(of)
}

#[test]
fn each_signal_has_a_protocol_and_a_compression_of_its_own() {
    use Protocol::{Grpc, HttpJson, HttpProtobuf};
    const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC");
    let protocols = |vars: &[(&str, &str)]| sent(&otel(vars), |transport| transport.protocol);
    assert_eq!(protocols(&[ALL]), [HttpProtobuf; 3]);
    assert_eq!(protocols(&[ALL, PROTOCOL]), [Grpc; 3]);
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json");
    assert_eq!(protocols(&[ALL, traces]), [HttpJson, HttpProtobuf, HttpProtobuf]);
    assert_eq!(protocols(&[ALL, traces, PROTOCOL]), [HttpJson, Grpc, Grpc]);
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", " http/json ");
    assert_eq!(protocols(&[ALL, PROTOCOL, logs]), [Grpc, Grpc, HttpJson]);
    assert_eq!(protocols(&[ALL, PROTOCOL, ("POUNCE_OTEL_PROTOCOL", "http/json")]), [HttpJson; 3]);
    let compressions =
        |vars: &[(&str, &str)]| sent(&otel(vars), |transport| transport.compression == Compression::Gzip);
    assert_eq!(compressions(&[ALL, ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]), [true; 3]);
    let metrics = ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip");
    assert_eq!(compressions(&[ALL, metrics]), [false, true, false]);
}

#[test]
fn an_unknown_word_is_warned_about_and_the_next_variable_counts() {
    let vars =
        [ALL, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let config = load(&vars).unwrap().config;
    assert_eq!(sent(&config.otel, |transport| transport.protocol), [Protocol::HttpJson; 3]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("thrift"));
}

#[test]
fn with_grpc_all_signals_go_to_one_place_without_a_path() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let urls = |vars: &[(&str, &str)]| {
        let otel = otel(vars);
        let of = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| endpoint.of_call("/a").to_string());
        let metrics = otel.endpoint_of(&otel.metrics.to, Endpoint::METRICS);
        [of(otel.endpoint.clone()), of(metrics)]
    };
    let both = |url: &str| [Some(url.to_owned()), Some(url.to_owned())];
    assert_eq!(urls(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), grpc]), both("http://c:4317/a"));
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
    assert_eq!(urls(&[bare, grpc]), both("https://c:4317/a"));
    assert_eq!(urls(&[bare, grpc, ("OTEL_EXPORTER_OTLP_INSECURE", "True")]), both("http://c:4317/a"));
    // A scheme says more than the variable.
    let secure = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317");
    assert_eq!(urls(&[secure, grpc, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]), both("https://c:4317/a"));
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "m:1");
    let insecure = ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "true");
    let expected = [Some("https://c:4317/a".to_owned()), Some("http://m:1/a".to_owned())];
    assert_eq!(urls(&[bare, grpc, own, insecure]), expected);
    let only = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4317");
    assert_eq!(urls(&[only, grpc]), [Some("http://t:4317/a".to_owned()), None]);
    let shown = load(&[bare, grpc]).unwrap().in_force;
    let shown = shown.iter().find(|one| one.key == "otel.endpoint").unwrap();
    assert_eq!(shown.value, "https://c:4317");
}

#[test]
fn without_grpc_an_endpoint_has_a_scheme() {
    for vars in [
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318")][..],
        &[ALL, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "c:4318")],
        &[ALL, ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "c"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")],
    ] {
        let mistakes = load(vars).unwrap_err();
        assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
        assert!(mistakes.to_string().contains("has no scheme"), "{mistakes}");
    }
}

#[test]
fn the_usual_port_of_another_protocol_is_warned_about() {
    let warnings = |vars: &[(&str, &str)]| load(vars).unwrap().config.warnings;
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert!(warnings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), grpc])[0].contains("4317"));
    assert!(warnings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")])[0].contains("grpc"));
    assert_eq!(warnings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), grpc]), [""; 0]);
}

/// A folder with `ca.pem`, `a.pem`, `a.key` and `b.key`.
fn files() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let made = || rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let (ca, a, b) = (made(), made(), made());
    for (name, content) in [
        ("ca.pem", ca.cert.pem()),
        ("a.pem", a.cert.pem()),
        ("a.key", a.signing_key.serialize_pem()),
        ("b.key", b.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, move |name: &str| path.join(name).display().to_string())
}

#[test]
fn certificates_are_read_at_the_start_for_each_signal() {
    let (_folder, path) = files();
    let (ca, a, key) = (path("ca.pem"), path("a.pem"), path("a.key"));
    let found = otel(&[
        ALL,
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &ca),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &a),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &a),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", &ca),
    ]);
    let certificate = |path: &str| Some(Certificates::from_file(path).unwrap());
    let expected = [certificate(&ca), certificate(&a), certificate(&ca)];
    assert_eq!(sent(&found, |transport| transport.certificate.clone()), expected);
    assert_eq!(sent(&found, |transport| transport.client_key.is_some()), [true; 3]);

    let file = PathBuf::from(path("pounce.toml"));
    std::fs::write(&file, "[otel]\ncertificate = \"ca.pem\"\n").unwrap();
    let found = Config::from_file(&file).unwrap();
    assert_eq!(found.otel.transport.certificate, certificate(&ca), "relative to the file");
}

#[test]
fn what_is_wrong_with_a_file_is_a_mistake_that_names_it() {
    let (_folder, path) = files();
    let told = |vars: &[(&str, &str)]| {
        let mistakes = load(vars).unwrap_err();
        assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
        mistakes.to_string()
    };
    let (a, key, other, missing) = (path("a.pem"), path("a.key"), path("b.key"), path("missing.pem"));
    let text = told(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", &missing)]);
    assert!(text.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE") && text.contains("missing.pem"), "{text}");
    assert!(told(&[ALL, ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", &missing)]).contains("missing.pem"));
    assert!(told(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", &key)]).contains("no certificate in it"));
    let text = told(&[("POUNCE_OTEL_CLIENT_CERTIFICATE", &a)]);
    assert!(text.starts_with("POUNCE_OTEL_CLIENT_CERTIFICATE: there is no key"), "{text}");
    assert!(told(&[("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key)]).contains("there is no certificate"));
    let pair = [("POUNCE_OTEL_CLIENT_CERTIFICATE", a.as_str()), ("POUNCE_OTEL_CLIENT_KEY", &other)];
    let text = told(&pair);
    assert!(text.contains("b.key") && text.contains("does not go with"), "{text}");
    let text = told(&[ALL, ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", &key)]);
    assert!(text.starts_with("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: there is no certificate"), "{text}");
}
