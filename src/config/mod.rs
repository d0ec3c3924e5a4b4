//! From words to values: every option once, its sources and its checks.
