//! What a certificate says of itself, and whether this server can show who it is with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Certificates, Invalid, PrivateKey};

/// Characters of a subject that are kept: an authority vouches for it, not for its length.
const MAX_SUBJECT: usize = 1024;

/// Names, subject and times of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// Hosts that it is for, in lower case: `example.com`, `*.example.com`. Addresses are left out.
    pub(crate) names: Vec<String>,
    /// Distinguished name of its holder: `C=DE, O=Example, CN=client`.
    pub(crate) subject: String,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Described {
    /// Reads a certificate in DER form.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Invalid> {
        let malformed = |error: &dyn std::fmt::Display| {
            let hint = "have its authority make it once more";
            Invalid::new(format!("has a malformed certificate: {error}"), hint)
        };
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        let alternative = certificate.subject_alternative_name().map_err(|error| malformed(&error))?;
        let general = alternative.map(|names| names.value.general_names.iter()).into_iter().flatten();
        let names = general.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let validity = certificate.validity();
        Ok(Self {
            names: names.collect(),
            subject: certificate.subject().to_string().chars().take(MAX_SUBJECT).collect(),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
        })
    }

    /// What it is called in messages: its first name, else its subject.
    pub(crate) fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.subject)
    }

    /// Why it is of no use at `now`, and what to do; `None` when it is.
    fn untimely(&self, now: SystemTime) -> Option<Invalid> {
        let name = self.name();
        if now >= self.not_after {
            let end = httpdate::fmt_http_date(self.not_after);
            return Some(Invalid::new(
                format!("has a certificate (of {name}) that has expired on {end}"),
                "renew it, and put the new one in its place",
            ));
        }
        (now < self.not_before).then(|| {
            let begin = httpdate::fmt_http_date(self.not_before);
            Invalid::new(
                format!("has a certificate (of {name}) that is not valid before {begin}"),
                "check the clock of this machine, or wait until then",
            )
        })
    }
}

/// Seconds since 1970, some of which certificates put before it.
fn moment(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let found = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    found.unwrap_or(UNIX_EPOCH)
}

/// A chain of certificates and the key of its first: with these a server shows who it is.
#[derive(Debug, Clone)]
pub(crate) struct Certified {
    pub(crate) certificates: Certificates,
    pub(crate) key: PrivateKey,
    pub(crate) described: Described,
    /// Certificates and key as TLS takes them.
    pub(crate) signing: Arc<CertifiedKey>,
}

/// Which of the two files is at fault, and how.
#[derive(Debug)]
pub(crate) enum Unusable {
    Certificate(Invalid),
    Key(Invalid),
}

impl Certified {
    /// Joins a chain and its key, to be used at `now`.
    ///
    /// # Errors
    /// They do not belong together, or the certificate is not valid then.
    pub(crate) fn new(
        certificates: Certificates,
        key: PrivateKey,
        now: SystemTime,
    ) -> Result<Self, Unusable> {
        let described = certificates
            .certificates()
            .first()
            .map(|own| Described::read(own))
            .unwrap_or_else(|| unreachable!("a file without certificates is not read"))
            .map_err(Unusable::Certificate)?;
        let provider = rustls::crypto::ring::default_provider();
        let signing = CertifiedKey::from_der(certificates.certificates().to_vec(), key.key(), &provider);
        let signing = signing.map_err(|error| {
            let certificate = certificates.path().display();
            Unusable::Key(Invalid::new(
                format!("is not the key of the first certificate in `{certificate}`: {error}"),
                "name certificates and keys in the same order, each certificate with the key it was made for",
            ))
        })?;
        match described.untimely(now) {
            Some(flaw) => Err(Unusable::Certificate(flaw)),
            None => Ok(Self { certificates, key, described, signing: Arc::new(signing) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certified(
        names: &[&str],
        change: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> Result<Certified, Unusable> {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        change(&mut params);
        let paths = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&paths[1], key.serialize_pem()).unwrap();
        let certificates = Certificates::from_file(&paths[0]).unwrap();
        Certified::new(certificates, PrivateKey::from_file(&paths[1]).unwrap(), SystemTime::now())
    }

    #[test]
    fn a_certificate_tells_its_names_and_times() {
        let described = certified(&["a.example", "*.B.example", "127.0.0.1"], |params| {
            params.not_after = rcgen::date_time_ymd(2099, 2, 3);
        });
        let described = described.unwrap().described;
        assert_eq!(described.names, ["a.example", "*.b.example"]);
        assert!(described.subject.contains("O=Example"), "{}", described.subject);
        assert_eq!(httpdate::fmt_http_date(described.not_after), "Tue, 03 Feb 2099 00:00:00 GMT");
        assert!(Described::read(b"0").is_err() && Described::read(b"").is_err());
    }

    #[test]
    fn one_that_is_not_valid_now_is_of_no_use() {
        let told = |change: fn(&mut rcgen::CertificateParams)| match certified(&["a.example"], change) {
            Err(Unusable::Certificate(flaw)) => flaw.what,
            other => panic!("{other:?}"),
        };
        let expired = told(|params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
        assert!(
            expired.contains("a.example") && expired.contains("expired on Mon, 01 Jan 2001"),
            "{expired}"
        );
        let early = told(|params| params.not_before = rcgen::date_time_ymd(2098, 1, 1));
        assert!(early.contains("not valid before Wed, 01 Jan 2098"), "{early}");
    }
}
