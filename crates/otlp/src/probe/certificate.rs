//! The few things that people want to know of a certificate: whose it is, who signed it, until when it holds.
//!
//! It is only told, never trusted: rustls judges it. So what can't be read here is left out.

use std::fmt;

/// What a certificate says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    subject: Option<String>,
    issuer: Option<String>,
    not_after: Option<String>,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
/// The version, which is optional.
const VERSION: u8 = 0xa0;
/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANISATION: &[u8] = &[0x55, 4, 10];

impl Certificate {
    /// Reads DER.
    pub(super) fn read(der: &[u8]) -> Self {
        read(der).unwrap_or_default()
    }
}

fn read(der: &[u8]) -> Option<Certificate> {
    let (certificate, _) = part(der, SEQUENCE)?;
    let (mut rest, _) = part(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value_of(rest)?.2;
    }
    // The serial number and the algorithm of the signature.
    rest = value_of(rest)?.2;
    rest = value_of(rest)?.2;
    let (issuer, rest) = part(rest, SEQUENCE)?;
    let (validity, rest) = part(rest, SEQUENCE)?;
    let (subject, _) = part(rest, SEQUENCE)?;
    let (_, _, until) = value_of(validity)?;
    Some(Certificate { subject: name(subject), issuer: name(issuer), not_after: time(until) })
}

/// The common name, or else the organisation.
fn name(names: &[u8]) -> Option<String> {
    let find = |wanted: &[u8]| {
        let mut rest = names;
        while let Some((set, further)) = part(rest, SET) {
            rest = further;
            let (pair, _) = part(set, SEQUENCE)?;
            let (oid, value) = part(pair, OID)?;
            if oid == wanted {
                let text: String = String::from_utf8_lossy(value_of(value)?.1).chars().take(80).collect();
                return Some(text.escape_debug().to_string());
            }
        }
        None
    };
    find(COMMON_NAME).or_else(|| find(ORGANISATION))
}

/// `2027-01-31`.
fn time(der: &[u8]) -> Option<String> {
    let (tag, text, _) = value_of(der)?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    // Years of two digits are of before 2050.
    let text = match tag {
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        _ => text.to_owned(),
    };
    let date = text.get(..8).filter(|date| date.bytes().all(|digit| digit.is_ascii_digit()))?;
    Some(format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]))
}

/// The content of the first value, if it has this tag, and what is behind it.
fn part(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = value_of(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The first value: tag, content, and what is behind it.
fn value_of(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "nobody".to_owned());
        write!(f, "certificate of {}, signed by {}", said(&self.subject), said(&self.issuer))?;
        match &self.not_after {
            Some(date) => write!(f, ", until {date}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn der(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Shop");
        params.distinguished_name.push(DnType::CommonName, "shop.example\n");
        params.not_after = date_time_ymd(year, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn it_says_whose_it_is_and_until_when() {
        for year in [2031, 2077] {
            let text = Certificate::read(&der(year)).to_string();
            let expected =
                format!("certificate of shop.example\\n, signed by shop.example\\n, until {year}-03-04");
            assert_eq!(text, expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0usize..400,
            byte: u8,
        ) {
            let _nothing = Certificate::read(&bytes).to_string();
            let mut der = der(2031);
            let at = at % der.len();
            der[at] = byte;
            let _perhaps = Certificate::read(&der).to_string();
            let _cut = Certificate::read(&der[..at]);
        }
    }
}
