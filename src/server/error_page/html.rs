//! The page for browsers. Whatever a guest or a client has put into it stands there as text: it is escaped, and the policy
//! lets no script run, nothing be loaded and nothing be sent.

use std::fmt::Write as _;

use super::Told;

/// Only our own style, by its hash; a test compares the two.
pub(super) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-TL1eT1hmKhM96cS/bE7Y53rejw/0MYhl/BG3O+pzG/U='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2330;--dim:#5a6474;--paper:#fff;--box:#f3f5f8;--red:#b3261e;--link:#0b57d0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#9aa4b5;--paper:#14171d;--box:#1e232c;--red:#ff8a80;--link:#8ab4f8}}\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}\
h1{font-size:1.4rem;margin:0 0 .25rem;color:var(--red);overflow-wrap:anywhere;white-space:pre-line}\
h2{font-size:1rem;margin:2rem 0 .5rem}\
p{margin:.25rem 0;overflow-wrap:anywhere}\
.dim{color:var(--dim)}\
pre{background:var(--box);padding:1rem;margin:0;border-radius:.5rem;overflow:auto;font:14px/1.5 ui-monospace,monospace}\
.err{color:var(--red)}\
a{color:var(--link)}";

/// The whole page.
pub(super) fn page(told: &Told<'_>) -> String {
    let status = told.status();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<p class=\"dim\">{} · {status}</p>\n<h1>{}</h1>\n",
        escaped(told.request),
        escaped(told.message),
    );
    if !told.kind.is_empty() {
        let _infallible = writeln!(page, "<p class=\"dim\">{}</p>", escaped(told.kind));
    }
    if let Some(tip) = told.tip {
        let _infallible = writeln!(page, "<p>Tip: {}</p>", escaped(tip));
    }
    match (&told.link, &told.trace_id) {
        (Some(link), Some(trace_id)) => {
            let (link, trace_id) = (escaped(link), escaped(trace_id));
            let _infallible = writeln!(page, "<p><a href=\"{link}\">Trace {trace_id}</a></p>");
        }
        (_, Some(trace_id)) => {
            let _infallible = writeln!(page, "<p class=\"dim\">Trace {}</p>", escaped(trace_id));
        }
        _ => {}
    }
    if let Some(trouble) = &told.trouble {
        let text = escaped(trouble);
        let _infallible = writeln!(
            page,
            "<h2>A newer component is not served</h2>\n<pre class=\"err\" tabindex=\"0\">{text}</pre>"
        );
    }
    if let Some(stacktrace) = told.stacktrace {
        let text = escaped(stacktrace);
        let _infallible = writeln!(page, "<h2>Backtrace of the guest</h2>\n<pre tabindex=\"0\">{text}</pre>");
    }
    if !told.output.is_empty() {
        page.push_str("<h2>Output of the guest</h2>\n");
        if told.left_out > 0 {
            let _infallible =
                writeln!(page, "<p class=\"dim\">{} lines before are left out</p>", told.left_out);
        }
        page.push_str("<pre tabindex=\"0\">");
        for line in &told.output {
            let text = escaped(&line.text);
            let _infallible = match line.is_stderr {
                true => writeln!(page, "<span class=\"err\">{text}</span>"),
                false => writeln!(page, "{text}"),
            };
        }
        page.push_str("</pre>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// `text` as it may stand in an element or in an attribute's quotes. Control characters, and those that turn the reading
/// direction, are shown as what they are.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        for char in super::harmless(line).chars() {
            match char {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                char => out.push(char),
            }
        }
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::server::error_page::tests::told;

    #[test]
    fn the_policy_lets_our_style_through_and_nothing_else() {
        let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(POLICY.contains(&format!("style-src 'sha256-{hash}';")), "the style's hash is {hash}");
        assert!(!POLICY.contains("unsafe") && !POLICY.contains("script-src"), "{POLICY}");
    }

    #[test]
    fn what_a_guest_says_is_text() {
        let page = page(&told("</h1><img src=x onerror=\"alert('1')\">\u{202e}", Some("0: <T as A>::b")));
        for harmful in ["<script>", "<img", "\u{1b}", "\u{202e}", "<7>", "<T as"] {
            assert!(!page.contains(harmful), "{harmful:?} is in {page}");
        }
        for told in [
            "GET /items/&lt;7&gt;",
            "&lt;/h1&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;\\u{202e}",
            "0: &lt;T as A&gt;::b",
            "Tip: look &lt;here&gt;",
            "<span class=\"err\">&lt;script&gt;alert(1)&lt;/script&gt;\\u{1b}[2J</span>",
            "<a href=\"http://127.0.0.1:8081/traces/4bf92f3577b34da6a3ce929d0e0e4736\">",
            "the build failed",
            "3 lines before are left out",
        ] {
            assert!(page.contains(told), "{told:?} is not in {page}");
        }
    }
}
