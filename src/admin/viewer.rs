//! The trace viewer: files for browsers, which read `/api/…` and `/status`.
//!
//! They are plain modules in the folder `viewer`, which come with the binary and are joined into one script (`script`):
//! nothing is built, and nothing is fetched from elsewhere. What they show is written by guests and clients, so the browser is told to run and load
//! nothing but these files.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LINK, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::LazyLock;

use super::page::{Answer, whole};
use super::script::{Module, joined};
use pounce_telemetry::TraceId;

/// What a page of the viewer may do: load these files and ask this listener.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Beside the policy: what browsers do not let pages of other origins do with these.
const GUARDS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Files of the folder `viewer`.
macro_rules! files {
    ($include:ident: $($name:literal),+ $(,)?) => {
        &[$(($name, $include!(concat!("viewer/", $name)))),+]
    };
}

/// The module that the others are for, and what they are called together.
const SCRIPT: &str = "app.js";

/// What is joined.
const MODULES: &[Module] = files![include_str:
    "app.js",
    "model/compare.js",
    "model/critical.js",
    "model/filters.js",
    "model/format.js",
    "model/histogram.js",
    "model/otlp.js",
    "model/outline.js",
    "model/phases.js",
    "model/svg.js",
    "model/traces.js",
    "model/tree.js",
    "view/api.js",
    "view/compare.js",
    "view/details.js",
    "view/dom.js",
    "view/keys.js",
    "view/list.js",
    "view/routes.js",
    "view/rows.js",
    "view/theme.js",
    "view/trace.js",
    "view/waterfall.js",
];

/// What else stands below `/traces/assets/`; the first is the page that the script fills.
const OTHERS: &[Module] = files![include_str: "index.html", "icon.svg", "style.css"];

/// What stands below `/traces/assets/`.
static FILES: LazyLock<Vec<(&str, Bytes)>> = LazyLock::new(|| {
    let others = OTHERS.iter().map(|(name, text)| (*name, Bytes::from_static(text.as_bytes())));
    others.chain([(SCRIPT, joined(MODULES, SCRIPT).into())]).collect()
});

/// Whether a path is the viewer's.
pub(super) fn is_below(path: &str) -> bool {
    path.strip_prefix("/traces").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The file at a path of the viewer; none where there is none.
pub(super) fn page(path: &str, headers: &HeaderMap) -> Option<Answer> {
    let rest = path.strip_prefix("/traces")?.trim_start_matches('/');
    let mut trace_id = None;
    let (name, bytes) = match rest.strip_prefix("assets/") {
        Some(asked) => FILES.iter().find(|(name, _)| *name == asked)?,
        None if rest.is_empty() || rest == "compare" => FILES.first()?,
        None => {
            trace_id = Some(TraceId::from_hex(rest.to_ascii_lowercase().as_bytes())?);
            FILES.first()?
        }
    };
    let tag = tag(bytes);
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    let is_known = known.any(|known| known.contains(&tag));
    let mut answer = match is_known {
        true => whole(StatusCode::NOT_MODIFIED, kind(name), Bytes::new()),
        false => whole(StatusCode::OK, kind(name), bytes.clone()),
    };
    let out = answer.headers_mut();
    // Kept, and asked about each time: another version may run here tomorrow.
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    // A browser asks for the trace while it is still reading the modules that show it.
    for path in trace_id
        .iter()
        .flat_map(|id| ["traces/outline", "logs"].map(|what| format!("/api/{what}?trace_id={id}")))
    {
        let link = HeaderValue::from_str(&format!("<{path}>; rel=preload; as=fetch; crossorigin"));
        out.extend(link.ok().map(|link| (LINK, link)));
    }
    out.extend(GUARDS.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
    Some(answer)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}

/// The entity tag of a file: the same for the same bytes.
fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn files_in(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                files_in(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let mut found = BTreeSet::new();
        files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/viewer"), "", &mut found);
        for apart in ["model/types.d.ts", "tsconfig.json"] {
            assert!(found.remove(apart), "{apart} is for the check of types");
        }
        let named: BTreeSet<_> = MODULES.iter().chain(OTHERS).map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(named, found);
    }

    #[test]
    fn modules_are_written_so_that_they_can_be_joined() {
        let script = joined(MODULES, SCRIPT);
        for (name, text) in MODULES {
            assert!(script.contains(&format!("modules[\"{name}\"] = ")), "nobody imports {name}");
            let exports = text.lines().filter(|line| line.starts_with("export ")).count();
            let told = script.split(&format!("modules[\"{name}\"] = ")).nth(1).unwrap();
            let told = told.split("\nreturn { ").nth(1).unwrap().split(" };\n})();").next().unwrap();
            let told = told.split(", ").filter(|name| !name.trim().is_empty()).count();
            assert_eq!(told, exports, "exports of {name}");
        }
        let mut before = BTreeSet::new();
        for line in script.lines() {
            assert!(!line.starts_with("import ") && !line.starts_with("export "), "{line}");
            let named = line.split("modules[\"").nth(1).and_then(|rest| rest.split('"').next());
            match named {
                Some(name) if line.starts_with("const ") => {
                    assert!(before.contains(name), "{name} comes after those that import it");
                }
                Some(name) => _ = before.insert(name),
                None => {}
            }
        }
    }

    #[test]
    fn only_the_viewers_own_paths_have_pages() {
        let hex = "0af7651916cd43dd8448eb211c80319c";
        let has = |path: &str| is_below(path) && page(path, &HeaderMap::new()).is_some();
        let traces = format!("/traces/{hex}");
        for path in ["/traces", "/traces/", "/traces/compare", &traces, "/traces/assets/app.js"] {
            assert!(has(path), "{path}");
        }
        let (short, long) = (format!("/traces/{}", &hex[1..]), format!("/traces/{hex}/x"));
        for path in
            ["/tracesx", "/traces/x", &short, &long, "/traces/assets/../page.rs", "/traces/assets/", "/"]
        {
            assert!(!has(path), "{path}");
        }
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let first = page("/traces/assets/app.js", &HeaderMap::new()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let again = page("/traces/assets/app.js", &headers).unwrap();
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"0\""));
        assert_eq!(page("/traces/assets/app.js", &headers).unwrap().status(), StatusCode::OK);
    }
}
