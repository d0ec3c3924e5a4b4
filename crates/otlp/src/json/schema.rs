//! The messages of OTLP: fields by number, and how JSON has each.

/// A message.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_list: bool,
    /// Whether it is one of several fields of which a message has one (`oneof`).
    pub(super) is_choice: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Bytes of an id.
    Hex,
    Base64,
    Bool,
    Uint32,
    /// A varint of 32 bits with a sign, or an enum.
    Int32,
    Sint32,
    Uint64,
    /// An unsigned number of 64 bits.
    Fixed64,
    /// A number of 64 bits with a sign, as a varint or fixed.
    Int64,
    Double,
    Message(&'static Message),
}

/// A field with one value.
const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_list: false, is_choice: false }
}

const fn list(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_list: true, is_choice: false }
}

const fn choice(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_list: false, is_choice: true }
}

pub(super) static TRACES: Message =
    Message { fields: &[list(1, "resourceSpans", Kind::Message(&RESOURCE_SPANS))] };
pub(super) static METRICS: Message =
    Message { fields: &[list(1, "resourceMetrics", Kind::Message(&RESOURCE_METRICS))] };
pub(super) static LOGS: Message =
    Message { fields: &[list(1, "resourceLogs", Kind::Message(&RESOURCE_LOGS))] };

static RESOURCE_SPANS: Message = Message {
    fields: &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        list(2, "scopeSpans", Kind::Message(&SCOPE_SPANS)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static RESOURCE_METRICS: Message = Message {
    fields: &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        list(2, "scopeMetrics", Kind::Message(&SCOPE_METRICS)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static RESOURCE_LOGS: Message = Message {
    fields: &[
        one(1, "resource", Kind::Message(&RESOURCE)),
        list(2, "scopeLogs", Kind::Message(&SCOPE_LOGS)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    fields: &[
        one(1, "scope", Kind::Message(&SCOPE)),
        list(2, "spans", Kind::Message(&SPAN)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    fields: &[
        one(1, "scope", Kind::Message(&SCOPE)),
        list(2, "metrics", Kind::Message(&METRIC)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    fields: &[
        one(1, "scope", Kind::Message(&SCOPE)),
        list(2, "logRecords", Kind::Message(&LOG_RECORD)),
        one(3, "schemaUrl", Kind::Text),
    ],
};

static RESOURCE: Message = Message {
    fields: &[
        list(1, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "droppedAttributesCount", Kind::Uint32),
    ],
};

static SCOPE: Message = Message {
    fields: &[
        one(1, "name", Kind::Text),
        one(2, "version", Kind::Text),
        list(3, "attributes", Kind::Message(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Kind::Uint32),
    ],
};

static KEY_VALUE: Message =
    Message { fields: &[one(1, "key", Kind::Text), one(2, "value", Kind::Message(&ANY_VALUE))] };

static ANY_VALUE: Message = Message {
    fields: &[
        choice(1, "stringValue", Kind::Text),
        choice(2, "boolValue", Kind::Bool),
        choice(3, "intValue", Kind::Int64),
        choice(4, "doubleValue", Kind::Double),
        choice(5, "arrayValue", Kind::Message(&ARRAY_VALUE)),
        choice(6, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        choice(7, "bytesValue", Kind::Base64),
    ],
};

static ARRAY_VALUE: Message = Message { fields: &[list(1, "values", Kind::Message(&ANY_VALUE))] };
static KEY_VALUE_LIST: Message = Message { fields: &[list(1, "values", Kind::Message(&KEY_VALUE))] };

static SPAN: Message = Message {
    fields: &[
        one(1, "traceId", Kind::Hex),
        one(2, "spanId", Kind::Hex),
        one(3, "traceState", Kind::Text),
        one(4, "parentSpanId", Kind::Hex),
        one(16, "flags", Kind::Uint32),
        one(5, "name", Kind::Text),
        one(6, "kind", Kind::Int32),
        one(7, "startTimeUnixNano", Kind::Fixed64),
        one(8, "endTimeUnixNano", Kind::Fixed64),
        list(9, "attributes", Kind::Message(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Kind::Uint32),
        list(11, "events", Kind::Message(&EVENT)),
        one(12, "droppedEventsCount", Kind::Uint32),
        list(13, "links", Kind::Message(&LINK)),
        one(14, "droppedLinksCount", Kind::Uint32),
        one(15, "status", Kind::Message(&STATUS)),
    ],
};

static EVENT: Message = Message {
    fields: &[
        one(1, "timeUnixNano", Kind::Fixed64),
        one(2, "name", Kind::Text),
        list(3, "attributes", Kind::Message(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Kind::Uint32),
    ],
};

static LINK: Message = Message {
    fields: &[
        one(1, "traceId", Kind::Hex),
        one(2, "spanId", Kind::Hex),
        one(3, "traceState", Kind::Text),
        list(4, "attributes", Kind::Message(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Kind::Uint32),
        one(6, "flags", Kind::Uint32),
    ],
};

static STATUS: Message = Message { fields: &[one(2, "message", Kind::Text), one(3, "code", Kind::Int32)] };

static LOG_RECORD: Message = Message {
    fields: &[
        one(1, "timeUnixNano", Kind::Fixed64),
        one(11, "observedTimeUnixNano", Kind::Fixed64),
        one(2, "severityNumber", Kind::Int32),
        one(3, "severityText", Kind::Text),
        one(5, "body", Kind::Message(&ANY_VALUE)),
        list(6, "attributes", Kind::Message(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Kind::Uint32),
        one(8, "flags", Kind::Uint32),
        one(9, "traceId", Kind::Hex),
        one(10, "spanId", Kind::Hex),
        one(12, "eventName", Kind::Text),
    ],
};

static METRIC: Message = Message {
    fields: &[
        one(1, "name", Kind::Text),
        one(2, "description", Kind::Text),
        one(3, "unit", Kind::Text),
        choice(5, "gauge", Kind::Message(&GAUGE)),
        choice(7, "sum", Kind::Message(&SUM)),
        choice(9, "histogram", Kind::Message(&HISTOGRAM)),
        choice(10, "exponentialHistogram", Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        choice(11, "summary", Kind::Message(&SUMMARY)),
        list(12, "metadata", Kind::Message(&KEY_VALUE)),
    ],
};

static GAUGE: Message = Message { fields: &[list(1, "dataPoints", Kind::Message(&NUMBER_DATA_POINT))] };

static SUM: Message = Message {
    fields: &[
        list(1, "dataPoints", Kind::Message(&NUMBER_DATA_POINT)),
        one(2, "aggregationTemporality", Kind::Int32),
        one(3, "isMonotonic", Kind::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        list(1, "dataPoints", Kind::Message(&HISTOGRAM_DATA_POINT)),
        one(2, "aggregationTemporality", Kind::Int32),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        list(1, "dataPoints", Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one(2, "aggregationTemporality", Kind::Int32),
    ],
};

static SUMMARY: Message = Message { fields: &[list(1, "dataPoints", Kind::Message(&SUMMARY_DATA_POINT))] };

static NUMBER_DATA_POINT: Message = Message {
    fields: &[
        list(7, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Kind::Fixed64),
        one(3, "timeUnixNano", Kind::Fixed64),
        choice(4, "asDouble", Kind::Double),
        choice(6, "asInt", Kind::Int64),
        list(5, "exemplars", Kind::Message(&EXEMPLAR)),
        one(8, "flags", Kind::Uint32),
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    fields: &[
        list(9, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Kind::Fixed64),
        one(3, "timeUnixNano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Double),
        list(6, "bucketCounts", Kind::Fixed64),
        list(7, "explicitBounds", Kind::Double),
        list(8, "exemplars", Kind::Message(&EXEMPLAR)),
        one(10, "flags", Kind::Uint32),
        one(11, "min", Kind::Double),
        one(12, "max", Kind::Double),
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    fields: &[
        list(1, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Kind::Fixed64),
        one(3, "timeUnixNano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Double),
        one(6, "scale", Kind::Sint32),
        one(7, "zeroCount", Kind::Fixed64),
        one(8, "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", Kind::Uint32),
        list(11, "exemplars", Kind::Message(&EXEMPLAR)),
        one(12, "min", Kind::Double),
        one(13, "max", Kind::Double),
        one(14, "zeroThreshold", Kind::Double),
    ],
};

static BUCKETS: Message =
    Message { fields: &[one(1, "offset", Kind::Sint32), list(2, "bucketCounts", Kind::Uint64)] };

static SUMMARY_DATA_POINT: Message = Message {
    fields: &[
        list(7, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Kind::Fixed64),
        one(3, "timeUnixNano", Kind::Fixed64),
        one(4, "count", Kind::Fixed64),
        one(5, "sum", Kind::Double),
        list(6, "quantileValues", Kind::Message(&VALUE_AT_QUANTILE)),
        one(8, "flags", Kind::Uint32),
    ],
};

static VALUE_AT_QUANTILE: Message =
    Message { fields: &[one(1, "quantile", Kind::Double), one(2, "value", Kind::Double)] };

static EXEMPLAR: Message = Message {
    fields: &[
        list(7, "filteredAttributes", Kind::Message(&KEY_VALUE)),
        one(2, "timeUnixNano", Kind::Fixed64),
        choice(3, "asDouble", Kind::Double),
        choice(6, "asInt", Kind::Int64),
        one(4, "spanId", Kind::Hex),
        one(5, "traceId", Kind::Hex),
    ],
};
