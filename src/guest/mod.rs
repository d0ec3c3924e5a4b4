//! Running components; knows no sockets.
