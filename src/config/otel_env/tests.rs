//! Tests of the standard variables.

mod in_force;

use std::time::Duration;

use crate::config::*;

fn load(vars: &[(&'static str, &'static str)]) -> Result<Config, Mistakes> {
    let sources = Sources { vars: vars.iter().copied().collect(), ..Sources::default() };
    crate::config::load(sources).map(|loaded| loaded.config)
}

/// What is in force without a warning.
fn otel(vars: &[(&'static str, &'static str)]) -> Otel {
    let config = load(vars).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    config.otel
}

/// The defaults, and this many warnings.
fn ignored(vars: &[(&'static str, &'static str)]) -> String {
    let config = load(vars).unwrap();
    assert_eq!(config.otel, Otel::default(), "{vars:?}");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    config.warnings[0].clone()
}

fn mistake(vars: &[(&'static str, &'static str)]) -> Mistake {
    let mistakes = load(vars).unwrap_err();
    assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
    mistakes.iter().next().unwrap().clone()
}

fn url(vars: &[(&'static str, &'static str)]) -> String {
    otel(vars).endpoint.unwrap().to_string()
}

#[test]
fn an_endpoint_turns_telemetry_on() {
    assert!(!otel(&[]).is_on());
    assert!(otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x")]).is_on());
    assert!(!otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).is_on());
    assert!(otel(&[("OTEL_TRACES_EXPORTER", "Console")]).is_on());
    assert!(!otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_TRACES_EXPORTER", "none")]).is_on());
    assert!(!otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_SDK_DISABLED", "TRUE")]).is_on());
}

#[test]
fn the_endpoint_of_traces_is_taken_as_it_is() {
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318");
    assert_eq!(url(&[all]), "http://all:4318/v1/traces");
    assert_eq!(url(&[all, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/in")]), "http://traces/in");
    assert_eq!(url(&[all, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")]), "http://all:4318/v1/traces");
}

#[test]
fn a_malformed_endpoint_or_sampler_argument_is_a_mistake() {
    for text in ["localhost:4318", "ftp://x", "http://u:p@x"] {
        assert_eq!(mistake(&[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]).place, "OTEL_EXPORTER_OTLP_ENDPOINT");
    }
    for text in ["10%", "1.5", "nan", "-1"] {
        let vars = [("OTEL_TRACES_SAMPLER", "TraceIdRatio"), ("OTEL_TRACES_SAMPLER_ARG", text)];
        assert_eq!(mistake(&vars).place, "OTEL_TRACES_SAMPLER_ARG");
    }
}

#[test]
fn every_standard_sampler_is_known() {
    let sampler = |name, argument| {
        otel(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)]).sampler
    };
    assert_eq!(sampler("always_on", "x"), Sampler::AlwaysOn);
    assert_eq!(sampler("always_off", ""), Sampler::AlwaysOff);
    assert_eq!(sampler("traceidratio", " 0.1"), Sampler::Ratio(0.1));
    assert_eq!(sampler("traceidratio", ""), Sampler::AlwaysOn);
    assert_eq!(sampler("PARENTBASED_ALWAYS_ON", ""), Sampler::AlwaysOn.parent_based());
    assert_eq!(sampler("parentbased_always_off", ""), Sampler::AlwaysOff.parent_based());
    assert_eq!(sampler("parentbased_traceidratio", "0.5"), Sampler::Ratio(0.5).parent_based());
}

#[test]
fn anything_else_malformed_is_warned_about_and_ignored() {
    assert!(ignored(&[("OTEL_TRACES_SAMPLER", "allways_on")]).contains("did you mean `always_on`?"));
    assert!(ignored(&[("OTEL_TRACES_SAMPLER_ARG", "0.1")]).contains("parentbased_traceidratio"));
    assert!(ignored(&[("OTEL_TRACES_EXPORTER", "zipkin")]).contains("zipkin"));
    assert!(ignored(&[("OTEL_SDK_DISABLED", "1")]).contains("neither true nor false"));
    assert!(ignored(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]).contains("10s"));
    assert!(ignored(&[("OTEL_BSP_SCHEDULE_DELAY", "-1")]).contains("-1"));
    assert!(ignored(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]).contains("drop everything"));
    assert!(
        ignored(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuff")])
            .contains("did you mean `http/protobuf`?")
    );
    assert!(ignored(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]).contains("none, gzip"));
    assert!(ignored(&[("OTEL_CONFIG_FILE", "x")]).contains("not supported"));
    assert!(ignored(&[("OTEL_LOG_LEVEL", "none")]).contains("`none` is not known"));
    for (text, level) in [("DEBUG", LogLevel::Debug), ("warning", LogLevel::Warn), ("all", LogLevel::Trace)] {
        assert_eq!(otel(&[("OTEL_LOG_LEVEL", text)]).log_level, Some(level));
    }
    for sampler in ["jaeger_remote", "PARENTBASED_jaeger_remote", "xray"] {
        let said =
            ignored(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://x")]);
        assert!(said.contains("every trace is kept") && said.contains("otel.sample-route"), "{said}");
    }
    for (variable, text) in [("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"), ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1")] {
        assert!(ignored(&[(variable, text)]).contains("not a whole number"));
    }
}

#[test]
fn exceptions_go_where_the_list_says() {
    const VARIABLE: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";
    let signal =
        |text| otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318"), (VARIABLE, text)]).exceptions;
    for (text, expected) in [
        ("", ExceptionSignal::Events),
        (" , ", ExceptionSignal::Events),
        ("Logs", ExceptionSignal::Logs),
        ("logs/dup", ExceptionSignal::LogsDup),
        ("logs/dup, logs", ExceptionSignal::LogsDup),
        ("logs,LOGS/dup", ExceptionSignal::LogsDup),
    ] {
        assert_eq!(signal(text), expected, "{text}");
    }
    for word in ["log", "events", "true"] {
        let said = ignored(&[(VARIABLE, word)]);
        assert!(said.contains(&format!("`{word}`")) && said.contains("logs/dup"), "{said}");
    }
    // They stay where they are, and that is said.
    for without in [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_LOGS_EXPORTER", "none")] {
        let on = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x:4318");
        let config = load(&[on, (VARIABLE, "logs"), without]).unwrap();
        assert_eq!(config.otel.exceptions, ExceptionSignal::Logs);
        let said: Vec<_> = config.warnings.iter().filter(|warning| warning.contains(VARIABLE)).collect();
        assert!(said.len() == 1 && said[0].contains("stay events of spans"), "{said:?}");
    }
    assert_eq!(load(&[("OTEL_SDK_DISABLED", "true"), (VARIABLE, "logs")]).unwrap().warnings, [""; 0]);
}

#[test]
fn known_methods_are_a_list_with_its_case() {
    let methods = |text| otel(&[("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", text)]).known_methods;
    assert_eq!(methods("GET, propfind,,"), Some(vec!["GET".to_owned(), "propfind".to_owned()]));
    assert_eq!((methods(""), methods(" , ")), (None, None));
    assert!(ignored(&[("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "G@T")]).contains("`G@T`"));
}

#[test]
fn a_batch_is_no_larger_than_the_queue() {
    let config =
        load(&[("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "11")]).unwrap();
    assert_eq!(config.otel.batch.max_export_batch_size, 10);
    assert!(
        config.warnings[0].contains("11 is more than wait at most, and counts as 10"),
        "{:?}",
        config.warnings
    );
    let default = otel(&[("OTEL_BLRP_MAX_QUEUE_SIZE", "10")]).logs.batch;
    assert_eq!((default.max_queue_size, default.max_export_batch_size), (10, 10), "nobody asked for more");
}

#[test]
fn the_specific_limit_counts_before_the_general_one_and_none_above_ours() {
    let limits = |vars: &[(&'static str, &'static str)]| otel(vars).limits;
    assert_eq!(limits(&[]), Limits::default());
    const COUNT: (&str, &str) = ("OTEL_ATTRIBUTE_COUNT_LIMIT", "20");
    const LENGTH: (&str, &str) = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50");
    let general = limits(&[COUNT, LENGTH]);
    assert_eq!((general.span_attributes, general.log_attributes), (20, 20));
    assert_eq!((general.event_attributes, general.link_attributes), (20, 20));
    assert_eq!((general.span_value_length, general.log_value_length), (Some(50), Some(50)));
    assert_eq!((general.events, general.links), (128, 128), "they are no attributes");
    let specific = limits(&[
        COUNT,
        LENGTH,
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "4"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "5"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "6"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0"),
    ]);
    assert_eq!((specific.span_attributes, specific.event_attributes), (1, 2));
    assert_eq!((specific.link_attributes, specific.log_attributes), (0, 4));
    assert_eq!((specific.events, specific.links), (5, 6));
    assert_eq!((specific.span_value_length, specific.log_value_length), (Some(7), Some(0)));
    for (variable, most) in
        [("OTEL_SPAN_EVENT_COUNT_LIMIT", "128"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4096")]
    {
        let config = load(&[(variable, "5000")]).unwrap();
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert!(config.warnings[0].ends_with(&format!("counts as {most}")), "{:?}", config.warnings);
    }
    // A malformed one counts as unset.
    let config = load(&[COUNT, ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x")]).unwrap();
    assert_eq!((config.otel.limits.span_attributes, config.warnings.len()), (20, 1));
}

#[test]
fn headers_are_decoded_and_a_malformed_one_is_left_out() {
    let headers = otel(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=1, Authorization=Bearer%20x,")]).headers;
    assert_eq!(headers.len(), 2);
    assert_eq!((headers[1].0.as_str(), headers[1].1.as_bytes()), ("authorization", &b"Bearer x"[..]));

    let config =
        load(&[("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "s3cret,a=1"), ("OTEL_EXPORTER_OTLP_HEADERS", "b=2")])
            .unwrap();
    assert_eq!(config.otel.headers.len(), 1);
    assert!(
        config.warnings[0].contains("entry 1") && !config.warnings[0].contains("s3cret"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn resource_attributes_are_decoded_or_discarded_whole() {
    let attributes = |text| otel(&[("OTEL_RESOURCE_ATTRIBUTES", text)]).resource_attributes;
    assert_eq!(
        attributes("team=a%2Cb, k%3D=v=w"),
        [("team".into(), "a,b".into()), ("k=".into(), "v=w".into())]
    );
    assert_eq!(attributes("a=1,a=2"), [("a".into(), "2".into())]);
    for text in ["a=1,b", "a=%4", "a=%zz", "a=%ff", "=1", "a=1,%=2"] {
        assert!(ignored(&[("OTEL_RESOURCE_ATTRIBUTES", text)]).contains("the whole value is ignored"));
    }
}

#[test]
fn the_service_name_of_its_own_variable_wins() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=low,team=x");
    let low = otel(&[attributes]);
    assert_eq!(low.service_name.as_deref(), Some("low"));
    assert_eq!(low.resource_attributes, [("team".into(), "x".into())]);
    let high = otel(&[attributes, ("OTEL_SERVICE_NAME", "high")]);
    assert_eq!(high.service_name.as_deref(), Some("high"));
    assert_eq!(high.resource_attributes, [("team".into(), "x".into())]);
}

#[test]
fn times_are_in_milliseconds_and_zero_is_no_limit() {
    let otel = otel(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
    ]);
    assert_eq!(otel.timeout, Timeout(Some(Duration::from_secs(2))));
    assert_eq!(otel.batch.export_timeout, Timeout(None));
    assert_eq!(otel.batch.schedule_delay, Duration::from_millis(1));
    assert_eq!((otel.batch.max_queue_size, otel.batch.max_export_batch_size), (100, 100));
}

#[test]
fn propagators_are_a_list_of_known_ones() {
    use HeaderFormat::{B3, B3Multi, Baggage, TraceContext};
    let list = |text| otel(&[("OTEL_PROPAGATORS", text)]).propagators;
    assert_eq!(list(""), Propagators::default());
    assert_eq!(list("B3, baggage,b3,,"), Propagators::from_iter([B3, Baggage]));
    assert_eq!(list("none"), Propagators::from_iter([]));
    assert_eq!(otel(&[("OTEL_PROPAGATORS", "b3"), ("POUNCE_OTEL_PROPAGATORS", "b3multi")]).propagators, {
        Propagators::from_iter([B3Multi])
    });
    for unknown in ["jaeger", "xray", "ottrace"] {
        assert!(ignored(&[("OTEL_PROPAGATORS", unknown)]).contains(unknown));
    }
    let some = load(&[("OTEL_PROPAGATORS", "jaeger,b3,none")]).unwrap();
    assert_eq!((some.otel.propagators, some.warnings.len()), (Propagators::from_iter([B3]), 2));
    assert!(Propagators::default().has(TraceContext) && !Propagators::default().has(B3));
}

#[test]
fn the_semantic_conventions_of_http_are_picked_out_of_the_list() {
    let semconv = |text| otel(&[("OTEL_SEMCONV_STABILITY_OPT_IN", text)]).semconv;
    assert_eq!(semconv("database, HTTP"), Semconv::Http);
    assert_eq!(semconv("http,http/dup"), Semconv::HttpDup);
    assert_eq!(semconv("database"), Semconv::Compat);
}

#[test]
fn what_looks_like_a_slip_is_warned_about() {
    assert!(ignored(&[("OTEL_TRACES_EXPORTER", "otlp")]).contains("no spans are sent"));
    let grpc = load(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4317")]).unwrap();
    assert!(grpc.warnings[0].contains("4318"), "{:?}", grpc.warnings);
    let two = load(&[("OTEL_TRACES_EXPORTER", "console,otlp")]).unwrap();
    assert_eq!((two.otel.exporter, two.warnings.len()), (Exporter::Console, 1));
}

#[test]
fn a_flag_of_the_same_meaning_beats_a_standard_variable_unjudged() {
    let vars = [("POUNCE_OTEL_ENDPOINT", "http://x"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")];
    assert_eq!(url(&vars), "http://x/v1/traces");
}

/// Where metrics and logs go, with what is said of them without a warning.
fn destinations(vars: &[(&'static str, &'static str)]) -> [Option<String>; 2] {
    let otel = otel(vars);
    [(&otel.metrics.to, Endpoint::METRICS), (&otel.logs.to, Endpoint::LOGS)]
        .map(|(to, path)| otel.endpoint_of(to, path).map(|endpoint| endpoint.to_string()))
}

#[test]
fn metrics_and_logs_go_where_traces_go_unless_their_own_variables_say_otherwise() {
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/in/");
    const ADMIN: (&str, &str) = ("POUNCE_ADMIN_LISTEN", "127.0.0.1:9464");
    let some = |text: &str| Some(text.to_owned());
    let both = [some("http://all:4318/in/v1/metrics"), some("http://all:4318/in/v1/logs")];
    assert_eq!(destinations(&[ALL]), both);
    assert_eq!(destinations(&[("POUNCE_OTEL_ENDPOINT", "http://all:4318/in")]), both);
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/x");
    assert_eq!(destinations(&[ALL, own]), [some("http://m/x"), both[1].clone()]);
    assert_eq!(destinations(&[ALL, ("OTEL_METRICS_EXPORTER", "none")]), [None, both[1].clone()]);
    assert_eq!(destinations(&[ALL, ADMIN, ("OTEL_METRICS_EXPORTER", "Prometheus")]), [None, both[1].clone()]);
    assert_eq!(destinations(&[ALL, ADMIN, ("OTEL_METRICS_EXPORTER", "prometheus, otlp")]), both);
    assert_eq!(destinations(&[ALL, ("OTEL_LOGS_EXPORTER", "None")]), [both[0].clone(), None]);
    // The endpoint of traces alone says nothing of other signals.
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/v1/traces");
    assert_eq!(destinations(&[traces]), [None, None]);
    assert_eq!(destinations(&[traces, ALL]), both);
    assert_eq!(destinations(&[traces, own]), [some("http://m/x"), None]);
    // And what counts for those alone is judged, too.
    for nonsense in ["nonsense", "c:4318"] {
        let wrong = mistake(&[traces, ("OTEL_EXPORTER_OTLP_ENDPOINT", nonsense)]);
        assert_eq!(wrong.place, "OTEL_EXPORTER_OTLP_ENDPOINT");
    }
}

#[test]
fn each_signal_is_on_or_off_by_itself() {
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all");
    let both = [Some("http://all/v1/metrics".to_owned()), Some("http://all/v1/logs".to_owned())];
    for exporter in ["none", "console"] {
        assert_eq!(destinations(&[ALL, ("OTEL_TRACES_EXPORTER", exporter)]), both, "{exporter}");
    }
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/x");
    assert_eq!(destinations(&[own]), [Some("http://m/x".to_owned()), None]);
    assert!(!otel(&[own]).is_on(), "no endpoint for spans");
    let disabled = ("OTEL_SDK_DISABLED", "true");
    assert_eq!(destinations(&[ALL, own, disabled]), [None, None]);
    // A higher source that names an exporter wants telemetry.
    let flag = ("POUNCE_OTEL_EXPORTER", "otlp");
    assert_eq!(destinations(&[ALL, flag, disabled]), both);
    assert!(otel(&[ALL, flag, disabled]).is_on());
}

#[test]
fn a_key_for_traces_alone_is_not_sent_with_other_signals() {
    let names = |vars: &[(&'static str, &'static str)]| {
        let otel = otel(vars);
        let of = |own: &Option<Vec<(http::HeaderName, http::HeaderValue)>>| {
            let headers = own.as_ref().unwrap_or(&otel.headers);
            headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        };
        [of(&otel.metrics.to.headers), of(&otel.logs.to.headers)]
    };
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "all=1");
    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "traces=1");
    const LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "logs=1");
    assert_eq!(names(&[ALL]), [["all"], ["all"]]);
    assert_eq!(names(&[ALL, TRACES, LOGS]), [["all"], ["logs"]]);
    assert_eq!(names(&[TRACES]), [[""; 0], [""; 0]]);
    assert_eq!(names(&[("POUNCE_OTEL_HEADERS", "mine=1"), TRACES, ALL]), [["mine"], ["mine"]]);
}

#[test]
fn times_and_sizes_of_metrics_and_logs() {
    let found = otel(&[
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "7"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "Always_On"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "10"),
    ]);
    let ms = |ms| Timeout(Some(Duration::from_millis(ms)));
    let metrics = &found.metrics;
    assert_eq!((metrics.interval, metrics.export_timeout), (Duration::from_millis(200), Timeout(None)));
    assert_eq!((metrics.to.timeout, found.logs.to.timeout), (ms(7), ms(5)));
    assert_eq!(metrics.temporality, Temporality::Delta);
    assert_eq!(metrics.exemplars, ExemplarFilter::AlwaysOn);
    assert_eq!(metrics.histograms, HistogramAggregation::Exponential);
    assert_eq!(found.logs.batch.schedule_delay, Duration::from_millis(1));
    assert_eq!((found.logs.batch.max_queue_size, found.logs.batch.max_export_batch_size), (10, 10));
    assert_eq!(found.batch, Batch::default(), "of spans");
    let default = otel(&[]);
    assert_eq!(default.metrics.interval, Duration::from_secs(60));
    assert_eq!(default.logs.batch.schedule_delay, Duration::from_secs(1));
}

#[test]
fn what_is_asked_of_metrics_and_logs_in_vain_is_warned_about() {
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x");
    let warning = |vars: &[(&'static str, &'static str)]| {
        let config = load(vars).unwrap();
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        config.warnings[0].clone()
    };
    assert!(warning(&[("OTEL_LOGS_EXPORTER", "prometheus")]).contains("`prometheus` is not supported"));
    assert!(warning(&[("OTEL_METRICS_EXPORTER", "prometheus")]).contains("set --admin-listen"));
    assert!(warning(&[("OTEL_EXPORTER_PROMETHEUS_PORT", "9464")]).contains("--admin-listen says where"));
    assert!(warning(&[("OTEL_METRIC_EXPORT_INTERVAL", "0")]).contains("and is ignored"));
    assert!(warning(&[ALL, ("OTEL_LOGS_EXPORTER", "console")]).contains("log records as otlp"));
    let alone = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m");
    let asked = ("OTEL_LOGS_EXPORTER", "otlp");
    assert!(warning(&[asked]).contains("no log records are sent: there is no endpoint"));
    assert!(warning(&[alone, asked]).contains("no log records are sent"));
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t");
    assert!(warning(&[traces, asked]).contains("the endpoint is of traces alone"));
    assert!(warning(&[ALL, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "gprc")]).contains("did you mean `grpc`?"));
    assert!(warning(&[("OTEL_METRIC_EXPORT_INTERVAL", "1m")]).contains("1m"));
    let temporality = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "detla");
    assert!(warning(&[temporality]).contains("did you mean `delta`?"));
    assert!(warning(&[("OTEL_METRICS_EXEMPLAR_FILTER", "trace-based")]).contains("trace_based"));
    let histograms = ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "exponential");
    assert!(warning(&[histograms]).contains("base2_exponential_bucket_histogram"));
    let wrong = mistake(&[ALL, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "localhost:4318")]);
    assert_eq!(wrong.place, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
}
