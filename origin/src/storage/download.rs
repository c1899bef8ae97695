//! URLs to read an object by.

use super::{Permit, Refused, media};
use crate::config::Bucket;

/// An object to read, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Download<'a> {
    /// The object's key.
    pub key: &'a str,
    /// For HEAD. A URL signed for GET is refused for it.
    pub head: bool,
    /// One version of it; else the newest.
    pub version: Option<&'a str>,
    /// The content type to send it with, in place of what is stored.
    pub content_type: Option<&'a str>,
    /// The name to save it under.
    pub filename: Option<&'a str>,
    /// To be saved (`true`) or shown; where nothing is said, a file name means saving. What a browser would run is always saved.
    pub attachment: Option<bool>,
    /// How long the URL lasts, in seconds: at most as the bucket allows.
    pub lasts: Option<u64>,
    /// The same URL for a while, so that it can be cached.
    pub stable: bool,
}

/// A URL, and its times in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The URL.
    pub url: String,
    /// When it stops working.
    pub expires: u64,
    /// When the same question gets another one.
    pub changes: u64,
}

/// A version of what is pending, for the scanner.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The key that it is to have.
    pub key: &'a str,
    /// Which version. Without one, what somebody puts there afterwards would be scanned in its place.
    pub version: &'a str,
    /// How long the URL lasts, in seconds: at most as the bucket allows.
    pub lasts: Option<u64>,
}

impl Scan<'_> {
    /// A URL by which it can be read. It is always saved, whatever it is.
    ///
    /// # Errors
    /// A key that is not of this bucket, or a bucket where nothing is pending.
    pub fn sign(&self, bucket: &Bucket, now: u64) -> Result<Signed, Refused> {
        let lands = bucket.lands(self.key)?;
        if bucket.pending.is_none() {
            return Err(Refused::NothingPends);
        }
        check_version(self.version)?;
        let lasts = bucket.lasts(self.lasts);
        let query = [("response-content-disposition", "attachment"), ("versionId", self.version)];
        let permit = Permit { method: "GET", key: &lands, query: &query, headers: &[], begins: now, lasts };
        Ok(Signed { url: bucket.reader.presign(&permit), expires: now + lasts, changes: now })
    }
}

/// Whether it can be a version of an object.
pub(super) fn check_version(version: &str) -> Result<(), Refused> {
    if version.is_empty() || version.len() > 256 { Err(Refused::Version) } else { Ok(()) }
}

impl Download<'_> {
    /// A URL by which anyone may read it.
    ///
    /// # Errors
    /// A key or a type that is not of this bucket.
    pub fn sign(&self, bucket: &Bucket, now: u64) -> Result<Signed, Refused> {
        bucket.check_key(self.key)?;
        if let Some(kind) = self.content_type
            && !(media::is_content_type(kind) && (media::is_active(kind) || media::is_among(&bucket.types, kind)))
        {
            return Err(Refused::Type(kind.to_owned()));
        }
        self.version.map_or(Ok(()), check_version)?;
        let disposition = self.disposition();
        let lasts = bucket.lasts(self.lasts);
        let (begins, changes) = if self.stable {
            // Who gets the URL last, just before it changes, still has half of its time.
            let window = (lasts / 2).max(1);
            let begins = now - now % window;
            (begins, begins + window)
        } else {
            (now, now)
        };
        let all = [
            ("response-content-disposition", disposition.as_deref()),
            ("response-content-type", self.content_type),
            ("versionId", self.version),
        ];
        let (mut query, mut said) = ([("", ""); 3], 0);
        for (slot, parameter) in query.iter_mut().zip(all.into_iter().filter_map(|(name, value)| Some((name, value?))))
        {
            (*slot, said) = (parameter, said + 1);
        }
        let method = if self.head { "HEAD" } else { "GET" };
        let query = query.get(..said).unwrap_or_default();
        let url = bucket.reader.presign(&Permit { method, key: self.key, query, headers: &[], begins, lasts });
        Ok(Signed { url, expires: begins + lasts, changes })
    }

    /// `Content-Disposition`, where the one that is stored does not do.
    fn disposition(&self) -> Option<String> {
        let active = match self.content_type {
            Some(kind) => media::is_active(kind),
            // What is stored is not known here; names tell.
            None => media::is_active_name(self.key) || self.filename.is_some_and(media::is_active_name),
        };
        if !active && self.attachment.is_none() && self.filename.is_none() {
            return None;
        }
        let attachment = active || self.attachment.unwrap_or(self.filename.is_some());
        Some(media::disposition(attachment, self.filename))
    }
}

#[cfg(test)]
mod tests {
    use super::{Download, Scan};
    use crate::config::Bucket;
    use crate::config::tests::bucket;
    use crate::storage::{Handoff, HandoffError, Refused};

    const NOW: u64 = 1_369_353_600 + 1_234;

    fn sign(download: Download<'_>) -> Result<super::Signed, Refused> {
        download.sign(&bucket("expiry_max = \"1h\"\nprefixes = [\"users/1\", \"covers/\"]"), NOW)
    }

    fn disposition(download: Download<'_>) -> Option<String> {
        let url = sign(Download { key: if download.key.is_empty() { "users/1/a" } else { download.key }, ..download });
        let url = url.expect("signed").url;
        let value = url.split(['?', '&']).find_map(|p| p.strip_prefix("response-content-disposition="));
        value.map(|v| percent_encoding::percent_decode_str(v).decode_utf8().expect("UTF-8").into_owned())
    }

    #[test]
    fn what_runs_is_always_saved() {
        let any = Download::default();
        assert_eq!(disposition(any), None);
        assert_eq!(disposition(Download { attachment: Some(false), ..any }).as_deref(), Some("inline"));
        let wav = Download { attachment: Some(false), content_type: Some("audio/wav"), filename: Some("a.wav"), ..any };
        assert_eq!(disposition(wav).as_deref(), Some("inline; filename=\"a.wav\""));
        for kind in ["text/html", "image/svg+xml", "application/xml", "text/html;charset=utf-8"] {
            let forced = Download { attachment: Some(false), content_type: Some(kind), ..any };
            assert_eq!(disposition(forced).as_deref(), Some("attachment"), "{kind}");
        }
        for key in ["users/1/a.html", "users/1/a.svg"] {
            assert_eq!(disposition(Download { key, ..any }).as_deref(), Some("attachment"), "{key}");
        }
        let named = Download { attachment: Some(false), filename: Some("a.svg"), ..any };
        assert_eq!(disposition(named).as_deref(), Some("attachment; filename=\"a.svg\""));
    }

    #[test]
    fn only_what_is_of_the_bucket() {
        for key in ["users/10/a", "users", "ota/a", "covers", "../a", "", "/users/1/a", "users/1/../2"] {
            assert!(
                matches!(sign(Download { key, ..Download::default() }), Err(Refused::Key(_) | Refused::Prefix)),
                "{key}"
            );
        }
        let strange =
            Download { key: "users/1/a", content_type: Some("application/x-msdownload"), ..Download::default() };
        assert!(matches!(sign(strange), Err(Refused::Type(_))));
    }

    #[test]
    fn what_is_pending_is_for_the_scanner() {
        let plain = bucket("");
        let pending = bucket("pending = \"pending/\"");
        let scan = |bucket: &Bucket, key: &str, version: &str| Scan { key, version, lasts: None }.sign(bucket, NOW);
        for key in ["pending/a", "pending/", "pending/users/1/a"] {
            assert_eq!(Download { key, ..Download::default() }.sign(&pending, NOW), Err(Refused::Pending), "{key}");
            assert_eq!(scan(&pending, key, "v1"), Err(Refused::Pending), "{key}");
            let handed_off = Handoff::parse(&format!("files;key=\"{key}\"")).expect("well formed");
            let handed_off = handed_off.resolve(std::slice::from_ref(&pending), false, NOW);
            assert!(matches!(handed_off, Err(HandoffError::Refused(Refused::Pending))), "{key}");
        }
        assert!(Download { key: "pendings/a", ..Download::default() }.sign(&pending, NOW).is_ok());
        let url = scan(&pending, "users/1/a", "v 1").expect("signed").url;
        assert!(url.contains("/files/pending/users/1/a?") && url.contains("&versionId=v%201&"), "{url}");
        assert_eq!(scan(&pending, "a", ""), Err(Refused::Version));
        let long = "a".repeat(1_020);
        assert_eq!(scan(&pending, &long, "v1"), Err(Refused::TooLong));
        assert_eq!(scan(&plain, "a", "v1"), Err(Refused::NothingPends));
    }

    #[test]
    fn no_longer_than_the_cap() {
        let lasting = |lasts| {
            let signed = sign(Download { key: "users/1/a", lasts, ..Download::default() }).expect("signed");
            assert!(signed.url.contains(&format!("&X-Amz-Expires={}&", signed.expires - NOW)), "{}", signed.url);
            signed.expires - NOW
        };
        assert_eq!([None, Some(60), Some(3600), Some(3601), Some(0)].map(lasting), [900, 60, 3600, 3600, 1]);
    }

    #[test]
    fn a_stable_url_stays_for_its_window() {
        let bucket = bucket("expiry_max = \"12h\"");
        let at = |now| {
            let download = Download { key: "a", stable: true, lasts: Some(43_200), ..Download::default() };
            download.sign(&bucket, now).expect("signed")
        };
        let first = at(NOW);
        for now in NOW..first.changes {
            assert_eq!(at(now), first);
        }
        let next = at(first.changes);
        assert_ne!(next.url, first.url);
        assert_eq!(first.expires - first.changes, 21_600, "half of its time is left when it changes");
        // The window that ends at midnight began on the day before, and is signed with that day's key.
        let midnight = 1_369_353_600;
        assert!(at(midnight - 1).url.contains("%2F20130523%2F") && at(midnight).url.contains("%2F20130524%2F"));
    }
}
