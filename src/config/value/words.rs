//! Settings that are one word out of a few.

use super::{Invalid, Place, Value};
use crate::config::suggest::nearest;

/// Declares an enum whose variants are words: read case-insensitively, written in lower case.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident: $kind:literal {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $name {
            /// Every word that is accepted, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word, as it is written in `pounce.toml`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::config::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::config::Invalid> {
                let word = text.trim().to_ascii_lowercase();
                $( if word == $word { return Ok(Self::$variant); } )+
                Err($crate::config::value::words::unknown(&word, $kind, Self::WORDS))
            }
        }
    };
}

pub(super) use words;

pub(super) fn unknown(word: &str, kind: &str, words: &[&str]) -> Invalid {
    let hint = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of: {}", words.join(", ")),
    };
    Invalid::new(format!("is not {kind}"), hint)
}

words! {
    /// Which requests may share a guest instance (`guest.isolation`).
    Isolation: "an isolation" {
        /// A fresh instance for every request.
        Request = "request",
        /// An instance serves many requests before it is replaced.
        Instance = "instance",
    }
}

words! {
    /// The headers by which a trusted proxy tells of its client (`http.forwarded-header`).
    ForwardedHeader: "a family of headers" {
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`.
        XForwarded = "x-forwarded",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

words! {
    /// Where spans go (`otel.exporter`).
    Exporter: "an exporter" {
        /// To `otel.endpoint`, as OTLP.
        Otlp = "otlp",
        /// To standard error, as a tree per request.
        Console = "console",
        /// Nowhere; metrics and logs still go to their endpoints.
        None = "none",
    }
}

words! {
    /// Which measurements may be exemplars (`OTEL_METRICS_EXEMPLAR_FILTER`).
    ExemplarFilter: "an exemplar filter" {
        /// Those that are made in a span which is exported.
        TraceBased = "trace_based",
        /// All.
        AlwaysOn = "always_on",
        /// None.
        AlwaysOff = "always_off",
    }
}

words! {
    /// How histograms are added up (`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`).
    HistogramAggregation: "an aggregation of histograms" {
        /// In buckets whose ends are given.
        Explicit = "explicit_bucket_histogram",
        /// In buckets that grow by a constant factor, as fine as the values allow.
        Exponential = "base2_exponential_bucket_histogram",
    }
}

words! {
    /// What a remote parent that a guest names is to its span (`otel.guest-parents`).
    GuestParents: "a relation" {
        /// A link; the span stays in the trace of its request.
        Link = "link",
        /// The parent; the span goes over to the other trace.
        Adopt = "adopt",
    }
}

words! {
    /// Which HTTP semantic conventions spans follow (`otel.semconv`).
    Semconv: "a profile of the semantic conventions" {
        /// Stable and legacy attributes, and the legacy span names.
        Compat = "compat",
        /// Stable and legacy attributes, stable span names.
        HttpDup = "http/dup",
        /// Stable attributes and span names only.
        Http = "http",
    }
}

words! {
    /// Which signal carries exceptions (`OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`).
    ExceptionSignal: "a signal of exceptions" {
        /// Traces: they are events of spans.
        Events = "events",
        /// Logs: they are log records.
        Logs = "logs",
        /// Both.
        LogsDup = "logs/dup",
    }
}

words! {
    /// What sums and histograms of metrics say (`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`).
    Temporality: "a temporality" {
        /// All since the start.
        Cumulative = "cumulative",
        /// What came since the last time; sums that may shrink say all since the start.
        Delta = "delta",
        /// The same, but sums that are counted elsewhere say all since the start, too.
        LowMemory = "lowmemory",
    }
}

words! {
    /// How log lines are written (`log.format`).
    LogFormat: "a log format" {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least severe log lines that are written (`log.level`).
    LogLevel: "a log level" {
        /// Only what went wrong for good.
        Error = "error",
        /// And what looks wrong.
        Warn = "warn",
        /// And what an operator wants to know.
        Info = "info",
        /// And what a developer of a guest wants to know.
        Debug = "debug",
        /// And what a developer of Pounce wants to know.
        Trace = "trace",
    }
}

/// Reads words that `pounce-otlp` has.
macro_rules! words_of_otlp {
    ($( $name:ident: $kind:literal, )+) => { $(
        impl Value for pounce_otlp::$name {
            fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
                let word = text.trim().to_ascii_lowercase();
                let all = pounce_otlp::$name::ALL;
                let found = all.iter().copied().find(|one| one.as_str() == word);
                let words = || all.iter().map(|one| one.as_str()).collect::<Vec<_>>();
                found.ok_or_else(|| unknown(&word, $kind, &words()))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

words_of_otlp! {
    Protocol: "a protocol of OTLP",
    Compression: "a compression",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!("HTTP/Dup".parse(), Ok(Semconv::HttpDup));
        assert_eq!(" console ".parse(), Ok(Exporter::Console));
    }

    #[test]
    fn a_typo_gets_a_suggestion_and_anything_else_the_list() {
        assert_eq!("instnce".parse::<Isolation>().unwrap_err().hint, "did you mean `instance`?");
        assert_eq!("xml".parse::<LogFormat>().unwrap_err().hint, "write one of: text, json");
    }
}
