//! Settings in TOML: read as those of `--config` are, with the files that they name.

use rcgen::{KeyPair, PKCS_ED25519};

use super::markdown::{Fence, Page, pages};
use super::none;
use super::session::Session;
use crate::support::tls::{Authority, write_key};

/// The TOML of a page is one file of settings, on the page's own lines. Below the heading of an option (`### http.listen`) it
/// stands in that option's section.
#[test]
fn settings_of_the_pages_are_read() {
    let session = session();
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        let fences: Vec<_> = page.fences.iter().filter(|fence| fence.language == "toml").collect();
        let left = |fence: &&Fence| fence.said("not settings").is_some() || fence.is_case_file();
        let fences: Vec<_> = fences.into_iter().filter(|fence| !left(fence)).collect();
        if fences.is_empty() {
            continue;
        }
        count += fences.len();
        let path = session.path().join("settings.toml");
        std::fs::write(&path, on_their_lines(&page, &fences)).unwrap();
        if let Err(mistakes) = pounce::Config::from_file(&path) {
            let told = mistakes.to_string();
            faults.push(told.replace(&*path.to_string_lossy(), &page.path.to_string_lossy()));
        }
    }
    println!("{count} fences of settings are read");
    assert!(count >= 35, "{count} fences");
    none("pages with settings that are wrong", &faults);
}

/// A folder with all files that settings of pages name: what is in them is read, too.
fn session() -> Session {
    let session = Session::new();
    let file = |name: &str| session.path().join(name);
    let authority = Authority::new("clients");
    let client = authority.client("shop");
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("clients-ca.pem", authority.pem()),
        ("client.pem", client.certificate.clone()),
        ("artifacts.pub.pem", KeyPair::generate_for(&PKCS_ED25519).unwrap().public_key_pem()),
    ] {
        std::fs::write(file(name), pem).unwrap();
    }
    write_key(&file("client.key"), &client.key);
    for name in ["assets", "src"] {
        std::fs::create_dir(file(name)).unwrap();
    }
    session
}

fn on_their_lines(page: &Page, fences: &[&Fence]) -> String {
    let last = fences.last().map_or(0, |fence| fence.line + fence.lines.len());
    let mut lines = vec![String::new(); last];
    let mut section = None;
    for fence in fences {
        let own = page.heading_above(fence.line).split_once('.').map(|(section, _)| section);
        if let Some(own) = own.filter(|own| section != Some(*own)) {
            section = Some(own);
            lines[fence.line - 1] = format!("[{own}]");
        }
        lines[fence.line..fence.line + fence.lines.len()].clone_from_slice(&fence.lines);
    }
    lines.join("\n")
}
