//! `Edge-Facts`: what the edge knows about a request, as one dictionary (RFC 9651 3.2) that its signature covers.
//!
//! ```text
//! Edge-Facts: client="203.0.113.7", id="0af7651916cd43dd8448eb211c80319c", country="DE", asn=3320, ruleset=7
//! ```
//!
//! New facts become new members: a reader ignores those that it does not know, so either side may be updated first. For the
//! same reason an optional member of a type or range that the reader does not expect counts as absent.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser, StringRef};

use crate::{RequestId, client};

/// The longest value that is read, in bytes.
pub const MAX_LEN: usize = 1024;

/// What the edge says about one request. [`Display`](fmt::Display) writes the field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeFacts {
    /// The client's address, canonical ([`client::canonical`]).
    pub client: IpAddr,
    /// The request's id.
    pub id: RequestId,
    /// The country that the platform's database has for the address.
    pub country: Option<Country>,
    /// The autonomous system that announces the address.
    pub asn: Option<u32>,
    /// The version of the filter's rules that the request passed.
    pub ruleset: Option<u32>,
    /// Whether no rule need challenge it: the edge has seen a clearance ([`crate::clearance`]), or it is none to be challenged.
    pub cleared: bool,
}

impl EdgeFacts {
    /// Reads the field's value. An address that is IPv4-mapped comes out as IPv4.
    ///
    /// # Errors
    /// When it is too long or no dictionary, or lacks a valid `client` or `id`.
    pub fn parse(value: &str) -> Result<Self, FactsError> {
        if value.len() > MAX_LEN {
            return Err(FactsError::TooLong);
        }
        let members = Parser::new(value).parse_dictionary_with_visitor(Members::default());
        let members = members.map_err(|_| FactsError::Malformed)?;
        Ok(Self {
            client: string(&members.client).and_then(client::parse).ok_or(FactsError::Client)?,
            id: string(&members.id).and_then(RequestId::parse).ok_or(FactsError::Id)?,
            country: string(&members.country).and_then(Country::parse),
            asn: number(&members.asn),
            ruleset: number(&members.ruleset),
            cleared: members.cleared.as_ref().and_then(BareItemFromInput::as_boolean).unwrap_or_default(),
        })
    }
}

/// A member's value where it is an item, borrowed from the field.
type Value<'a> = Option<BareItemFromInput<'a>>;

/// The members that have a meaning, taken while the parser goes by, which builds no map then.
#[derive(Default)]
struct Members<'a> {
    client: Value<'a>,
    id: Value<'a>,
    country: Value<'a>,
    asn: Value<'a>,
    ruleset: Value<'a>,
    cleared: Value<'a>,
}

impl<'a> DictionaryVisitor<'a> for Members<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        let value = match key.as_str() {
            "client" => &mut self.client,
            "id" => &mut self.id,
            "country" => &mut self.country,
            "asn" => &mut self.asn,
            "ruleset" => &mut self.ruleset,
            "cleared" => &mut self.cleared,
            _ => return Ok(None),
        };
        // The last member of a name is the one that counts (RFC 9651 3.2).
        *value = None;
        Ok(Some(Member(value)))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

struct Member<'v, 'a>(&'v mut Value<'a>);

impl<'a> EntryVisitor<'a> for Member<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(|item| {
            *self.0 = Some(item);
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

fn string<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    value.as_ref()?.as_string().map(StringRef::as_str)
}

fn number(value: &Value<'_>) -> Option<u32> {
    value.as_ref()?.as_integer()?.try_into().ok()
}

/// The one spelling that the edge sends: members in this order, absent ones left out, no parameters.
impl fmt::Display for EdgeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client=\"{}\", id=\"{}\"", client::canonical(self.client), self.id)?;
        if let Some(country) = self.country {
            write!(f, ", country=\"{country}\"")?;
        }
        if let Some(asn) = self.asn {
            write!(f, ", asn={asn}")?;
        }
        if let Some(ruleset) = self.ruleset {
            write!(f, ", ruleset={ruleset}")?;
        }
        if self.cleared {
            f.write_str(", cleared")?;
        }
        Ok(())
    }
}

/// A country as Cloudflare names it: ISO 3166-1 alpha-2, `XX` for unknown, `T1` for Tor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Two upper-case letters, or `T1`.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        (code.iter().all(u8::is_ascii_uppercase) || code == *b"T1").then_some(Self(code))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        // Always ASCII; the empty string stands for a case that cannot be.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

/// Why a value of `Edge-Facts` was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactsError {
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// Not a dictionary of RFC 9651.
    Malformed,
    /// `client` is absent or not a string that holds an address.
    Client,
    /// `id` is absent or not a string that holds a request id.
    Id,
}

impl FactsError {
    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "facts-too-long",
            Self::Malformed => "facts-malformed",
            Self::Client => "facts-client",
            Self::Id => "facts-id",
        }
    }
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "edge-facts is longer than 1,024 bytes",
            Self::Malformed => "edge-facts is not a structured dictionary (RFC 9651 3.2)",
            Self::Client => "edge-facts: client must be a string with one IP address, as in client=\"203.0.113.7\"",
            Self::Id => "edge-facts: id must be a string of 32 lower-case hexadecimal digits",
        })
    }
}

impl std::error::Error for FactsError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str =
        r#"client="203.0.113.7", id="0af7651916cd43dd8448eb211c80319c", country="DE", asn=3320, ruleset=7"#;

    #[test]
    fn reads_what_it_writes() {
        let facts = EdgeFacts::parse(FULL).unwrap();
        assert_eq!(facts.country.map(|country| country.to_string()).as_deref(), Some("DE"));
        assert_eq!((facts.asn, facts.ruleset), (Some(3320), Some(7)));
        assert_eq!(facts.to_string(), FULL);
        let bare = r#"client="2001:db8::1", id="0af7651916cd43dd8448eb211c80319c""#;
        assert_eq!(EdgeFacts::parse(bare).unwrap().to_string(), bare);
    }

    #[test]
    fn an_address_has_one_spelling() {
        let mapped = FULL.replace("203.0.113.7", "::ffff:203.0.113.7");
        let mut facts = EdgeFacts::parse(&mapped).unwrap();
        assert_eq!(facts.to_string(), FULL);
        facts.client = "::ffff:203.0.113.7".parse().unwrap();
        assert_eq!(facts.to_string(), FULL);
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        let facts = EdgeFacts::parse(FULL).unwrap();
        assert_eq!(EdgeFacts::parse(&format!(r#"new=("a" b);c, {FULL}, bot=?0, score=0.5"#)), Ok(facts));
        let odd = r#"client="203.0.113.7";x, id="0af7651916cd43dd8448eb211c80319c", country=DE, asn="x", ruleset=-1"#;
        assert_eq!(EdgeFacts::parse(odd), Ok(EdgeFacts { country: None, asn: None, ruleset: None, ..facts }));
        assert_eq!(EdgeFacts::parse(&FULL.replace("3320", "4294967296")).unwrap().asn, None);
        assert_eq!(EdgeFacts::parse(&FULL.replace("3320", "4294967295")).unwrap().asn, Some(u32::MAX));
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let facts = EdgeFacts::parse(FULL).unwrap();
        assert_eq!(EdgeFacts::parse(&format!(r#"client=(), id=1, asn=1;x=y, {FULL}"#)), Ok(facts));
        assert_eq!(EdgeFacts::parse(&format!("{FULL}, asn")), Ok(EdgeFacts { asn: None, ..facts }));
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, error) in [
            (String::new(), FactsError::Client),
            ("client=".to_owned(), FactsError::Malformed),
            (format!("{FULL},"), FactsError::Malformed),
            (FULL.replace("\"203.0.113.7\"", "203.0"), FactsError::Client),
            (FULL.replace("\"203.0.113.7\"", "(\"203.0.113.7\")"), FactsError::Client),
            (FULL.replace("203.0.113.7", "203.0.113.7:80"), FactsError::Client),
            (FULL.replace("client=", "clientele="), FactsError::Client),
            (format!("{FULL}, client=()"), FactsError::Client),
            (format!("{FULL}, id"), FactsError::Id),
            (FULL.replace("319c", "319C"), FactsError::Id),
            (FULL.replace("id=\"0af7651916cd43dd8448eb211c80319c\"", "id=1"), FactsError::Id),
        ] {
            assert_eq!(EdgeFacts::parse(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn is_bounded() {
        let padded = |len: usize| format!("{FULL}, x=\"{}\"", "x".repeat(len - FULL.len() - 6));
        assert_eq!(padded(MAX_LEN).len(), MAX_LEN);
        assert!(EdgeFacts::parse(&padded(MAX_LEN)).is_ok());
        assert_eq!(EdgeFacts::parse(&padded(MAX_LEN + 1)), Err(FactsError::TooLong));
    }

    #[test]
    fn countries() {
        for code in ["DE", "XX", "T1", "ZZ"] {
            assert_eq!(Country::parse(code).unwrap().as_str(), code);
        }
        for code in ["", "D", "DEU", "de", "De", "T2", "1T", "ä", "\"\""] {
            assert_eq!(Country::parse(code), None, "{code}");
        }
    }

    proptest! {
        #[test]
        fn any_facts_come_back(
            client in any::<IpAddr>(), id in any::<[u8; 16]>(), country in proptest::option::of("[A-Z]{2}|T1"),
            asn in any::<Option<u32>>(), ruleset in any::<Option<u32>>(), cleared: bool,
        ) {
            let facts = EdgeFacts {
                client: client::canonical(client), id: RequestId::from_random(id),
                country: country.as_deref().and_then(Country::parse), asn, ruleset, cleared,
            };
            prop_assert!(facts.to_string().len() < MAX_LEN / 4);
            prop_assert_eq!(EdgeFacts::parse(&facts.to_string()), Ok(facts));
        }

        #[test]
        fn never_panics(value in r#"(client|id|asn|=|"|,| |[(;:)]|[0-9a-f.]|\PC){0,40}"#) {
            let _ = EdgeFacts::parse(&value);
        }
    }
}
