//! Links `hello` with a stack of 64 KiB in place of 1 MiB: its memory begins with 2 pages in place of 17.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
}
