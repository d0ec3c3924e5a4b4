//! Certificates and keys, read from PEM files when the settings are: a mistake in one is told at the start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;

use super::{Invalid, Place, Value};
use crate::config::content::{self, Unread};

/// The certificates of a PEM file, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    path: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

/// The private key of a PEM file; `Debug` leaves it out.
#[derive(Clone)]
pub struct PrivateKey {
    path: PathBuf,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Certificates {
    /// Reads a PEM file, which may hold other things, too.
    ///
    /// # Errors
    /// The file can't be read, is larger than 1 MiB, has no certificate or a malformed one.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Invalid> {
        let path = path.into();
        let content = content(&path)?;
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&content) {
            let certificate = certificate.map_err(|error| malformed(&error))?;
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|error| Invalid::new(format!("has a malformed certificate: {error}"), PEM_HINT))?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(Invalid::new("has no certificate in it", PEM_HINT));
        }
        Ok(Self { path, certificates })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of the file.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

impl PrivateKey {
    /// Reads the first private key of a PEM file: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    ///
    /// # Errors
    /// The file can't be read, is larger than 1 MiB, or has no key of a kind that TLS can use.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Invalid> {
        let path = path.into();
        let content = content(&path)?;
        if is_encrypted(&content) {
            let hint =
                "decrypt it into a file that only Pounce's user may read: openssl pkey -in KEY -out FILE";
            return Err(Invalid::new("has a private key that is encrypted", hint));
        }
        let key = PrivateKeyDer::from_pem_slice(&content).map_err(|error| match error {
            Error::NoItemsFound => {
                let hint = "name the file of an unencrypted key: -----BEGIN PRIVATE KEY----- (EC, RSA)";
                Invalid::new("has no private key in it", hint)
            }
            error => malformed(&error),
        })?;
        if let Err(error) = rustls::crypto::ring::sign::any_supported_type(&key) {
            let hint = "use a key of the kind ECDSA (P-256, P-384), Ed25519 or RSA";
            return Err(Invalid::new(format!("has a key that can't be used: {error}"), hint));
        }
        Ok(Self { path, key: Arc::new(key) })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The key itself, for TLS alone.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// Why it is not the key of the first of `certificates`; `None` when it is.
    pub(crate) fn mismatch(&self, certificates: &Certificates) -> Option<String> {
        let provider = rustls::crypto::ring::default_provider();
        // Checks that both belong together.
        let made = CertifiedKey::from_der(certificates.certificates.clone(), self.key(), &provider);
        let (key, certificate) = (self.path.display(), certificates.path.display());
        made.err()
            .map(|error| format!("the key `{key}` does not go with the certificate `{certificate}`: {error}"))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.key.secret_der() == other.key.secret_der()
    }
}

impl Eq for PrivateKey {}

const PEM_HINT: &str = "name a file in PEM form: text between -----BEGIN …----- and -----END …-----";

/// The public key of those whose compiled components may be run: Ed25519, from the file of a PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactKey {
    path: PathBuf,
    key: [u8; 32],
}

impl ArtifactKey {
    /// Reads an Ed25519 public key in SPKI form (RFC 8410), as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// The file can't be read, is larger than 1 MiB, or has no such key.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Invalid> {
        let path = path.into();
        let hint =
            "name the file of an Ed25519 public key: openssl pkey -in key.pem -pubout -out key.pub.pem";
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(&content(&path)?)
            .map_err(|_| Invalid::new("has no public key in it", hint))?;
        let key = spki.strip_prefix(ED25519_SPKI).and_then(|key| key.try_into().ok());
        let key = key.ok_or_else(|| Invalid::new("has a key of another kind than Ed25519", hint))?;
        Ok(Self { path, key })
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

/// What an Ed25519 key in SPKI form starts with; 32 bytes of the key follow (RFC 8410 §4).
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Value for ArtifactKey {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        Self::from_file(place.path(Path::new(text.trim())))
    }

    fn show(&self) -> String {
        self.path.display().to_string()
    }
}

impl Value for Certificates {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        Self::from_file(place.path(Path::new(text.trim())))
    }

    fn show(&self) -> String {
        self.path.display().to_string()
    }
}

impl Value for PrivateKey {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        Self::from_file(place.path(Path::new(text.trim())))
    }

    fn show(&self) -> String {
        self.path.display().to_string()
    }
}

/// The system's own bundles have a quarter of the most that a file may hold.
fn content(path: &Path) -> Result<Vec<u8>, Invalid> {
    content::read(path, content::MAX_SETTINGS).map_err(|error| {
        let hint = match error {
            Unread::Io(_) => "make it a file that Pounce may read",
            Unread::TooLarge(_) => PEM_HINT,
        };
        Invalid::new(error.to_string(), hint)
    })
}

/// Whether a PEM file has a private key that needs a password: in PKCS #8, or in the older form of OpenSSL.
fn is_encrypted(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.lines().any(|line| {
        line.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line.strip_prefix("Proc-Type:").is_some_and(|kind| kind.contains("ENCRYPTED"))
    })
}

fn malformed(error: &Error) -> Invalid {
    Invalid::new(format!("is no PEM file: {error}"), PEM_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_pair_is_read_and_goes_together() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        let file = |name: &str, content: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let certificates = file("two.pem", format!("# first\n{}\n{}", made.cert.pem(), other.cert.pem()));
        let certificates = Certificates::from_file(certificates).unwrap();
        assert_eq!(certificates.certificates().len(), 2);
        let key = PrivateKey::from_file(file("a.key", made.signing_key.serialize_pem())).unwrap();
        assert_eq!(key.mismatch(&certificates), None);
        let of_other = PrivateKey::from_file(file("b.key", other.signing_key.serialize_pem())).unwrap();
        let mismatch = of_other.mismatch(&certificates).unwrap();
        assert!(mismatch.contains("b.key") && mismatch.contains("two.pem"), "{mismatch}");
        assert!(!format!("{key:?}").contains("PRIVATE") && key != of_other);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = |content: &str| {
            let path = folder.path().join("x.pem");
            std::fs::write(&path, content).unwrap();
            path
        };
        let certificates = |path: &Path| Certificates::from_file(path).unwrap_err().what;
        assert!(certificates(Path::new("/nowhere/x.pem")).contains("can't be read"));
        assert!(certificates(folder.path()).contains("can't be read"));
        assert!(certificates(&file("")).contains("no certificate"));
        assert!(certificates(&file("hello")).contains("no certificate"));
        let open = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(certificates(&file(open)).contains("is no PEM file"));
        let short = format!("{open}-----END CERTIFICATE-----\n");
        assert!(certificates(&file(&short)).contains("malformed certificate"));
        assert!(certificates(&file(&"x".repeat(2 << 20))).contains("larger"));
        let key = |path: &Path| PrivateKey::from_file(path).unwrap_err().what;
        assert!(key(&file(&short)).contains("no private key"));
        let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for encrypted in [pkcs8, pkcs1] {
            assert!(key(&file(encrypted)).contains("is encrypted"));
        }
        let bad = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(key(&file(bad)).contains("can't be used"));
    }
}
