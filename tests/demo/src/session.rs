//! Sessions in memory, their cookie, and their CSRF tokens.
//!
//! The cookie is `session`: HttpOnly, Secure, SameSite=Lax, and the session ends after seven idle days (RFC 6265 section 5.2).

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

/// Sessions beyond this many push out the one that was idle longest.
const MAX_SESSIONS: usize = 10_000;

/// Seven days.
const IDLE_LIMIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One visitor's session; signed in when it has a name.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) csrf: String,
    pub(crate) name: Option<String>,
    seen: Instant,
}

// The token is a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Session {
    /// Whether a form field or an `X-CSRF-Token` carries this session's token.
    pub(crate) fn vouches_for(&self, field: &str, request: &HeaderMap) -> bool {
        let expected = self.csrf.as_bytes();
        let in_header = request.get("x-csrf-token").map(HeaderValue::as_bytes).unwrap_or_default();
        bool::from(expected.ct_eq(field.as_bytes()) | expected.ct_eq(in_header))
    }
}

/// The sessions by the cookie's value.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

// The keys are secrets.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.sessions().len()).finish()
    }
}

impl Sessions {
    /// Starts a session; the value goes into the cookie.
    pub(crate) fn start(&self, name: Option<String>) -> (String, Session) {
        let (id, now) = (token(), Instant::now());
        let session = Session { csrf: token(), name, seen: now };
        let mut sessions = self.sessions();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| now.duration_since(session.seen) < IDLE_LIMIT);
        }
        if sessions.len() >= MAX_SESSIONS {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.seen).map(|(id, _)| id.clone());
            if let Some(idlest) = idlest {
                sessions.remove(&idlest);
            }
        }
        sessions.insert(id.clone(), session.clone());
        (id, session)
    }

    /// The session that the request's cookie names, if it has not ended.
    pub(crate) fn of(&self, request: &HeaderMap) -> Option<(String, Session)> {
        let id = cookie(request)?;
        let now = Instant::now();
        let mut sessions = self.sessions();
        let session = sessions.get_mut(id)?;
        if now.duration_since(session.seen) >= IDLE_LIMIT {
            sessions.remove(id);
            return None;
        }
        session.seen = now;
        Some((id.to_owned(), session.clone()))
    }

    pub(crate) fn end(&self, id: &str) {
        self.sessions().remove(id);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Set-Cookie that keeps a session for another seven days.
pub(crate) fn set_cookie(id: &str) -> HeaderValue {
    let age = IDLE_LIMIT.as_secs();
    let cookie = format!("session={id}; Path=/; Max-Age={age}; HttpOnly; Secure; SameSite=Lax");
    // The id is ours, in base64url.
    HeaderValue::try_from(cookie).unwrap_or_else(|_| unset_cookie())
}

/// Set-Cookie that forgets the session.
pub(crate) fn unset_cookie() -> HeaderValue {
    HeaderValue::from_static("session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
}

fn cookie(request: &HeaderMap) -> Option<&str> {
    request
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("session="))
}

/// 256 random bits in base64url.
fn token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).expect("a field value"))])
    }

    #[test]
    fn a_session_is_found_by_its_cookie_among_others_until_it_ends() {
        let sessions = Sessions::default();
        let (id, _) = sessions.start(Some("Mira".to_owned()));
        let request = with_cookie(&format!("theme=dark; session={id}; a=b"));
        assert_eq!(sessions.of(&request).and_then(|(_, session)| session.name).as_deref(), Some("Mira"));
        assert!(sessions.of(&with_cookie("session=guess")).is_none());
        assert!(sessions.of(&with_cookie(&format!("xsession={id}"))).is_none());
        sessions.end(&id);
        assert!(sessions.of(&request).is_none());
    }

    #[test]
    fn the_store_is_bounded_and_forgets_the_idlest() {
        let sessions = Sessions::default();
        let (first, _) = sessions.start(None);
        let (second, _) = sessions.start(None);
        assert!(sessions.of(&with_cookie(&format!("session={first}"))).is_some());
        for _ in 0..MAX_SESSIONS - 1 {
            sessions.start(None);
        }
        assert_eq!(sessions.sessions().len(), MAX_SESSIONS);
        assert!(sessions.of(&with_cookie(&format!("session={first}"))).is_some(), "used after the second");
        assert!(sessions.of(&with_cookie(&format!("session={second}"))).is_none(), "idle for longest");
    }

    #[test]
    fn neither_tokens_nor_ids_show_in_debug_output() {
        let sessions = Sessions::default();
        let (id, session) = sessions.start(None);
        let shown = format!("{sessions:?} {session:?}");
        assert!(!shown.contains(&id) && !shown.contains(&session.csrf), "{shown}");
    }

    #[test]
    fn a_token_is_vouched_for_in_the_field_or_the_header_and_never_when_empty() {
        let (_, session) = Sessions::default().start(None);
        let header = HeaderMap::from_iter([(
            header::HeaderName::from_static("x-csrf-token"),
            HeaderValue::from_str(&session.csrf).expect("base64url"),
        )]);
        assert!(session.vouches_for(&session.csrf, &HeaderMap::new()));
        assert!(session.vouches_for("", &header));
        assert!(!session.vouches_for("", &HeaderMap::new()));
        assert!(!session.vouches_for(&session.csrf[1..], &HeaderMap::new()));
    }
}
