//! The exporter against real sockets: what arrives, what is tried again, what is lost and said.
