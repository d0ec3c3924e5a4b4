//! Who says so: the resource that all spans come under.

use crate::support::attributes::{Attributes, expect};
use crate::support::{Collector, client, pounce};
use std::collections::BTreeSet;

/// The resource with these settings: a configuration file, flags and variables.
async fn resource(file: Option<&str>, flags: &[(&str, &str)], vars: &[(&str, &str)]) -> Attributes {
    let collector = Collector::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut builder = pounce().fixture("status.wat").traced(&collector);
    if let Some(text) = file {
        let path = dir.path().join("pounce.toml");
        std::fs::write(&path, text).unwrap();
        builder = builder.flag("--config", path.display());
    }
    builder = flags
        .iter()
        .fold(builder, |builder, (name, value)| builder.flag(name, value));
    builder = vars
        .iter()
        .fold(builder, |builder, (name, value)| builder.env(name, value));
    let server = builder.start().await;
    client::fetch_path(server.addr(), "/200").await;
    collector.span().await.resource
}

#[tokio::test]
async fn the_resource_says_who_we_are() {
    let resource = resource(None, &[], &[]).await;
    let expected = r#"
        service.name = "status"
        service.instance.id = <text>
        ? service.version = <text>
        telemetry.sdk.name = <text>
        telemetry.sdk.language = "rust"
        telemetry.sdk.version = <text>"#;
    expect("resource", &resource, expected);
    // Only the SDK of OpenTelemetry may call itself that.
    assert_ne!(
        resource["telemetry.sdk.name"].to_string(),
        "\"opentelemetry\""
    );
}

/// Flag > our variable > standard variable > file > resource attributes > component.
#[tokio::test]
async fn the_service_name_comes_from_the_nearest_source() {
    let file = Some("[otel]\nservice-name = \"from-file\"\n");
    let flag = ("--otel-service-name", "from-flag");
    let ours = ("POUNCE_OTEL_SERVICE_NAME", "from-ours");
    let standard = ("OTEL_SERVICE_NAME", "from-standard");
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes");
    for (file, flags, vars, expected) in [
        (
            file,
            &[flag][..],
            &[ours, standard, attributes][..],
            "from-flag",
        ),
        (file, &[], &[ours, standard, attributes], "from-ours"),
        (file, &[], &[standard, attributes], "from-standard"),
        (file, &[], &[("OTEL_SERVICE_NAME", "")], "from-file"),
        (None, &[], &[attributes], "from-attributes"),
        (None, &[], &[], "status"),
    ] {
        let name = resource(file, flags, vars).await["service.name"].to_string();
        assert_eq!(name, format!("{expected:?}"));
    }
}

#[tokio::test]
async fn resource_attributes_are_decoded() {
    let vars = [(
        "OTEL_RESOURCE_ATTRIBUTES",
        "deployment.environment.name=pre%2Dprod, team=a%2Cb%3Dc ,service.version=1.2",
    )];
    let resource = resource(None, &[], &vars).await;
    for (key, value) in [
        ("deployment.environment.name", "pre-prod"),
        ("team", "a,b=c"),
        ("service.version", "1.2"),
    ] {
        assert_eq!(
            resource.get(key).map(ToString::to_string),
            Some(format!("{value:?}")),
            "{key}"
        );
    }
}

#[tokio::test]
async fn each_process_is_an_instance_of_its_own() {
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(resource(None, &[], &[]).await["service.instance.id"].to_string());
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
}
