//! Whether what is set of TLS goes together, and can be used now.

use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use super::mistake::Wrong;
use super::value::{Certified, ClientAuth, Invalid, Unusable};
use super::{Http, ListenAddr, PrivateKey};

const CERT: &str = "http.tls-cert";
const KEY: &str = "http.tls-key";
const CLIENT_CA: &str = "http.tls-client-ca";
const CLIENT_AUTH: &str = "http.tls-client-auth";

/// What cannot work.
pub(super) fn flaws(http: &Http) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let (certificates, keys) = (http.tls_cert.len(), http.tls_key.len());
    if certificates != keys {
        let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        wrong.push(Wrong {
            key: if certificates > keys { CERT } else { KEY },
            what: format!("there are {} and {}", count(certificates, "certificate"), count(keys, "key")),
            hint: "give each --tls-cert (http.tls-cert) its --tls-key (http.tls-key), in the same order"
                .into(),
        });
    } else {
        let now = SystemTime::now();
        for (certificates, key) in http.tls_cert.iter().zip(&http.tls_key) {
            let flaw = match Certified::new(certificates.clone(), key.clone(), now) {
                Ok(_) => continue,
                Err(Unusable::Certificate(flaw)) => (CERT, certificates.path(), flaw),
                Err(Unusable::Key(flaw)) => (KEY, key.path(), flaw),
            };
            let (key, path, Invalid { what, hint }) = flaw;
            wrong.push(Wrong { key, what: format!("`{}` {what}", path.display()), hint: hint.into() });
        }
    }
    if http.tls_client_auth != ClientAuth::None {
        let mut lacks = |is_there: bool, what: &str, hint: &str| {
            if !is_there {
                wrong.push(Wrong { key: CLIENT_AUTH, what: what.to_owned(), hint: hint.into() });
            }
        };
        lacks(
            certificates > 0,
            "clients show certificates over TLS only, and that is off",
            "set http.tls-cert and http.tls-key, too",
        );
        lacks(
            http.tls_client_ca.is_some(),
            "there is nobody to vouch for clients' certificates",
            "set http.tls-client-ca to the file of your authority's certificate",
        );
    }
    wrong
}

/// What works, but not as somebody may expect.
pub(super) fn warnings(http: &Http, inherited: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if http.tls_client_ca.is_some() && http.tls_client_auth == ClientAuth::None {
        warnings.push(format!(
            "{CLIENT_CA} is of no use: clients are not asked for certificates (set {CLIENT_AUTH} to optional or required)"
        ));
    }
    let is_tcp = |addr: &ListenAddr| !matches!(addr, ListenAddr::Unix(_));
    if !http.tls_cert.is_empty() && inherited == 0 && !http.listen.iter().any(is_tcp) {
        warnings.push(format!("{CERT} is of no use: Unix sockets do not speak TLS, and there are no others"));
    }
    warnings.extend(http.tls_key.iter().filter(|key| is_open(key)).map(|key| {
        format!(
            "{KEY}: everybody on this machine may read `{}` (take that away: chmod o-rwx)",
            key.path().display()
        )
    }));
    warnings
}

/// Whether users other than its owner's and its group's may read the file of a key.
fn is_open(key: &PrivateKey) -> bool {
    std::fs::metadata(key.path()).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o007 != 0)
}
