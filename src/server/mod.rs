//! Sockets and HTTP; knows no wasmtime.
