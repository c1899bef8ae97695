//! Why there was no answer, in words. No URL and no connection string is in them.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::plain;

/// The cause that no other is behind.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(refused) = certificate(cause) {
            return plain(&refused);
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return plain(&cause.to_string()),
        }
    }
}

/// What is wrong with a server's certificate, and what would help.
fn certificate(cause: &(dyn Error + 'static)) -> Option<String> {
    // An io::Error passes over what is in it when it is asked for its source.
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| cause.downcast_ref::<rustls::Error>())?;
    let rustls::Error::InvalidCertificate(why) = tls else { return None };
    Some(match why {
        CertificateError::UnknownIssuer => {
            "the server's certificate is from an authority that is not trusted here: name its file in `ca`".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let name = expected.to_str();
            let others: Vec<_> = presented.iter().map(|other| bare(other)).collect();
            format!("the server's certificate is not for `{name}`: it is for {}", others.join(", "))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has ended".to_owned()
        }
        other => format!("the server's certificate is refused: {other}"),
    })
}

/// A name as rustls gives it, which is `DnsName("a.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
