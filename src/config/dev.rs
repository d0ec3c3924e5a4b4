//! What `pounce dev` takes where nobody has set anything else.

use super::{Config, Exporter};

/// A default of `pounce dev` that is another than that of `pounce serve`.
pub(super) struct DevDefault {
    key: &'static str,
    /// As a user would write it.
    pub(super) text: &'static str,
}

const DEFAULTS: &[DevDefault] = &[
    DevDefault { key: "guest.watch", text: "on" },
    // Sampling that follows no caller: a trace that a developer looks for is there.
    DevDefault { key: "otel.sample", text: "always_on" },
    DevDefault { key: "admin.listen", text: "127.0.0.1:8081" },
    DevDefault { key: "admin.recent-traces", text: "1000" },
    DevDefault { key: "admin.recent-traces-memory", text: "64MiB" },
    DevDefault { key: "log.access", text: "on" },
];

/// The default of `pounce dev` for this option, if it has one of its own.
pub(super) fn default_of(key: &str) -> Option<&'static DevDefault> {
    DEFAULTS.iter().find(|default| default.key == key)
}

impl Config {
    /// Has spans printed where `pounce dev --tree` asks for that and nothing else is asked for.
    pub(super) fn show_trees(&mut self) {
        let otel = &mut self.otel;
        if self.is_dev && self.dev.tree && otel.exporter == Exporter::Otlp {
            otel.exporter = Exporter::Console;
            otel.has_bars = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, all_options, load};

    fn dev(vars: &[(&'static str, &'static str)]) -> Config {
        let sources = Sources { is_dev: true, vars: vars.iter().copied().collect(), ..Sources::default() };
        load(sources).unwrap().config
    }

    #[test]
    fn each_default_is_of_an_option_and_reads() {
        for default in DEFAULTS {
            assert!(all_options().any(|option| option.key() == default.key), "{}", default.key);
        }
        let config = dev(&[]);
        assert_eq!(config.admin.listen.map(|addr| addr.to_string()), Some("127.0.0.1:8081".to_owned()));
        assert!(config.guest.watch && config.log.access && config.is_dev);
        assert_eq!(config.otel.sampler, crate::config::Sampler::AlwaysOn);
    }

    #[test]
    fn what_somebody_sets_stands_above_it() {
        let config = dev(&[("POUNCE_WATCH", "off"), ("OTEL_TRACES_SAMPLER", "parentbased_always_on")]);
        assert!(!config.guest.watch);
        assert_eq!(config.otel.sampler, crate::config::Sampler::AlwaysOn.parent_based());
    }

    #[test]
    fn trees_are_printed_where_they_are_asked_for() {
        assert_eq!(dev(&[]).otel.exporter, Exporter::Otlp);
        let tree = dev(&[("POUNCE_TREE", "on")]).otel;
        assert_eq!((tree.exporter, tree.has_bars), (Exporter::Console, true));
        let none = dev(&[("POUNCE_TREE", "on"), ("POUNCE_OTEL_EXPORTER", "none")]);
        assert_eq!(none.otel.exporter, Exporter::None);
        let vars = [("POUNCE_TREE", "on")].into_iter().collect();
        let served = load(Sources { vars, ..Sources::default() }).unwrap().config;
        assert_eq!(served.otel.exporter, Exporter::Otlp, "only pounce dev shows them");
    }
}
