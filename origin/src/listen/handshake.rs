//! Why a TLS handshake failed, in a word for the metrics.

use std::io;

use rustls::Error;

/// The word for it.
pub(crate) fn why_no_handshake(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => return "timeout",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => return "left",
        _ => {}
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::NoCertificatesPresented) => "no-certificate",
        Some(Error::InvalidCertificate(_)) => "bad-certificate",
        // What the client said of ours: that it does not know who signed it, for instance.
        Some(Error::AlertReceived(_)) => "alert",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "incompatible",
        Some(Error::InvalidMessage(_)) => "not-tls",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::why_no_handshake;
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    use std::io;

    #[test]
    fn each_has_its_word() {
        let tls = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, word) in [
            (io::ErrorKind::TimedOut.into(), "timeout"),
            (io::ErrorKind::UnexpectedEof.into(), "left"),
            (io::ErrorKind::Other.into(), "other"),
            (tls(Error::NoCertificatesPresented), "no-certificate"),
            (tls(Error::InvalidCertificate(CertificateError::UnknownIssuer)), "bad-certificate"),
            (tls(Error::AlertReceived(AlertDescription::UnknownCA)), "alert"),
            (tls(Error::InvalidMessage(InvalidMessage::InvalidContentType)), "not-tls"),
        ] {
            assert_eq!(why_no_handshake(&error), word, "{error}");
        }
    }
}
