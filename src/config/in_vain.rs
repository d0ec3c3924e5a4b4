//! Warnings of what is set and has no effect, or not the one that somebody may expect, because of what else is set.

use super::vars::Vars;
use super::{Config, Endpoint, Exporter, Harden};

const PROMETHEUS: [&str; 2] = ["OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"];

/// A line for each.
pub(super) fn warnings(config: &Config, vars: &Vars) -> Vec<String> {
    let mut warnings = super::tls::warnings(&config.http, config.inherited);
    if config.is_dev && config.http.harden != Harden::Off {
        warnings.push(
            "http.harden has no effect on pounce dev, which runs builds: it is for pounce serve".to_owned(),
        );
    }
    let otel = &config.otel;
    let exporters = vars.set("OTEL_METRICS_EXPORTER").unwrap_or_default().split(',');
    let is_scraped = exporters.map(str::trim).any(|word| word.eq_ignore_ascii_case("prometheus"));
    if is_scraped && config.admin.listen.is_none() && !otel.disabled {
        warnings.push(
            "OTEL_METRICS_EXPORTER has prometheus, which scrapes /metrics of the admin listener, and that is off (set \
             --admin-listen, such as 127.0.0.1:9464)"
                .to_owned(),
        );
    }
    for variable in PROMETHEUS.into_iter().filter(|variable| vars.set(variable).is_some()) {
        warnings.push(format!(
            "{variable} is not supported, and is ignored: --admin-listen says where /metrics is served"
        ));
    }
    if otel.spool.is_some() && !sends_otlp(config) {
        warnings.push(
            "otel.spool is of no use: nothing is sent by OTLP that could wait there (set otel.endpoint, such as \
             http://localhost:4318)"
                .to_owned(),
        );
    }
    warnings
}

fn sends_otlp(config: &Config) -> bool {
    let otel = &config.otel;
    let traces = otel.is_on() && otel.exporter == Exporter::Otlp;
    traces
        || otel.endpoint_of(&otel.metrics.to, Endpoint::METRICS).is_some()
        || otel.endpoint_of(&otel.logs.to, Endpoint::LOGS).is_some()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Mistakes, Sources};

    fn load(vars: &[(&'static str, &'static str)]) -> Result<Config, Mistakes> {
        let sources = Sources { vars: vars.iter().copied().collect(), ..Sources::default() };
        crate::config::load(sources).map(|loaded| loaded.config)
    }

    #[test]
    fn nothing_is_warned_about_that_has_its_use() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for vars in [
            [("OTEL_METRICS_EXPORTER", "prometheus"), ("POUNCE_ADMIN_LISTEN", "127.0.0.1:9464")],
            [("OTEL_METRICS_EXPORTER", "prometheus"), ("OTEL_SDK_DISABLED", "true")],
            [("POUNCE_OTEL_SPOOL", "/var/spool"), endpoint],
        ] {
            assert_eq!(load(&vars).unwrap().warnings, [""; 0], "{vars:?}");
        }
        let alone = load(&[("POUNCE_OTEL_SPOOL", "/var/spool")]).unwrap();
        assert!(alone.warnings[0].contains("otel.spool is of no use"), "{:?}", alone.warnings);
        let off =
            load(&[("POUNCE_OTEL_SPOOL", "/var/spool"), endpoint, ("OTEL_SDK_DISABLED", "true")]).unwrap();
        assert_eq!(off.warnings.len(), 1, "{:?}", off.warnings);
    }
}
