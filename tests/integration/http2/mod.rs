//! HTTP/2: many streams at once, uploads that a guest does not read yet, and peers that make the most of it.

/// Go's standard client and Node's.
mod clients;
/// Frames by hand: what no client would send.
mod floods;
/// Uploads within their windows.
mod uploads;
