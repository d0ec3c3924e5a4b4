//! Spans, and their way out; knows neither HTTP server nor wasm.
