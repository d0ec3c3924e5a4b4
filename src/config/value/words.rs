//! Settings that are one word out of a few: read in any case, written in lower case.

use pounce_otlp::words;

use super::{Invalid, Place, Value};
use crate::config::suggest::nearest;

words! {
    /// Which requests may share a guest instance (`guest.isolation`).
    Isolation {
        /// A fresh instance for every request.
        #[default]
        Request = "request",
        /// An instance serves many requests before it is replaced.
        Instance = "instance",
    }
}

words! {
    /// Requests that run once more when a trap of another request in their instance failed them
    /// (`guest.retry-neighbours`).
    RetryNeighbours {
        /// Requests that are safe to repeat: GET, HEAD and OPTIONS without a body.
        #[default]
        Safe = "safe",
        /// Requests of any method, unless the guest has read of the body.
        All = "all",
        /// None: each fails with the instance.
        Off = "off",
    }
}

words! {
    /// Headers by which a trusted proxy tells of its client (`http.forwarded-header`).
    ForwardedHeader {
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`.
        #[default]
        XForwarded = "x-forwarded",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

words! {
    /// Version of the PROXY protocol that trusted proxies speak (`http.proxy-protocol`).
    ProxyProtocol {
        /// They speak none.
        #[default]
        Off = "off",
        /// Version 1, a line of text.
        V1 = "v1",
        /// Version 2, which is binary.
        V2 = "v2",
    }
}

words! {
    /// Whether clients show certificates of their own (`http.tls-client-auth`).
    ClientAuth {
        /// They are not asked for.
        #[default]
        None = "none",
        /// A client may do without; one that it shows must be vouched for.
        Optional = "optional",
        /// A client without one that is vouched for gets no connection.
        Required = "required",
    }
}

words! {
    /// Whether the process restricts itself by landlock and seccomp (`http.harden`).
    Harden {
        /// It does not.
        #[default]
        Off = "off",
        /// As far as the kernel can.
        On = "on",
        /// It does, and no server starts where the kernel cannot.
        Required = "required",
    }
}

words! {
    /// Where spans go (`otel.exporter`).
    Exporter {
        /// To `otel.endpoint`, as OTLP.
        #[default]
        Otlp = "otlp",
        /// To standard error, as a tree per request.
        Console = "console",
        /// Nowhere; metrics and logs still go to their endpoints.
        None = "none",
    }
}

/// Reads types that [`words!`] declares.
macro_rules! read_words {
    ($( $name:ty: $kind:literal, )+) => { $(
        impl Value for $name {
            fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
                let word = text.trim().to_ascii_lowercase();
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == word);
                let words = || Self::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>();
                found.ok_or_else(|| unknown(&word, $kind, &words()))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

read_words! {
    Isolation: "an isolation",
    RetryNeighbours: "a choice of requests to run once more",
    ForwardedHeader: "a family of headers",
    ProxyProtocol: "a version of the PROXY protocol",
    ClientAuth: "a way to treat client certificates",
    Harden: "a way to restrict the process",
    Exporter: "an exporter",
    pounce_otlp::Protocol: "a protocol of OTLP",
    pounce_otlp::Compression: "a compression",
    pounce_telemetry::settings::HeaderFormat: "a propagator",
    pounce_telemetry::settings::ExemplarFilter: "an exemplar filter",
    pounce_telemetry::settings::HistogramAggregation: "an aggregation of histograms",
    pounce_telemetry::settings::GuestParents: "a relation",
    pounce_telemetry::settings::Semconv: "a profile of the semantic conventions",
    pounce_telemetry::settings::ExceptionSignal: "a signal of exceptions",
    pounce_telemetry::settings::Temporality: "a temporality",
    pounce_telemetry::settings::LogFormat: "a log format",
    pounce_telemetry::settings::LogLevel: "a log level",
}

fn unknown(word: &str, kind: &str, words: &[&str]) -> Invalid {
    let hint = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of: {}", words.join(", ")),
    };
    Invalid::new(format!("is not {kind}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, Semconv, Vars};

    fn read<T: Value>(text: &str) -> Result<T, Invalid> {
        T::read(text, &Place { base: "".as_ref(), vars: &Vars::default() })
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!(read("HTTP/Dup"), Ok(Semconv::HttpDup));
        assert_eq!(read(" console "), Ok(Exporter::Console));
    }

    #[test]
    fn a_typo_gets_a_suggestion_and_anything_else_the_list() {
        assert_eq!(read::<Isolation>("instnce").unwrap_err().hint, "did you mean `instance`?");
        assert_eq!(read::<LogFormat>("xml").unwrap_err().hint, "write one of: text, json");
    }
}
