//! The standard's own example, then everything that a signature must not hold for.

use hmac::{Hmac, KeyInit as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

const NOW: u64 = 1_800_000_000;
const MESSAGE: Message<'_> = Message {
    method: "GET",
    authority: "makenot.work",
    path: "/a/b",
    query: Some("c=d"),
    facts: r#"client="203.0.113.7", id="0af7651916cd43dd8448eb211c80319c""#,
};

fn keys() -> Keys {
    let line = |id: &str, first: u8| format!("{id}:{}\n", STANDARD.encode((first..first + 32).collect::<Vec<_>>()));
    Keys::parse(&(line("new", 1) + &line("old", 2))).unwrap()
}

fn verify(message: &Message<'_>, input: &str, signature: &str, now: u64) -> Result<Verified, SignatureError> {
    keys().verify(message, input, signature, now, &Window::default())
}

/// RFC 9421 B.2.5.
#[test]
fn the_standards_own_example() {
    let components = [
        ("date", ["Tue, 20 Apr 2021 02:07:55 GMT", ""]),
        ("@authority", ["example.com", ""]),
        ("content-type", ["application/json", ""]),
    ];
    let params = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let mut base = String::new();
    base::write(components, params, |part| base.push_str(part));
    assert_eq!(
        base,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
         \"@authority\": example.com\n\
         \"content-type\": application/json\n\
         \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
    );
    let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(secret).unwrap()).unwrap();
    base::write(components, params, |part| mac.update(part.as_bytes()));
    assert_eq!(STANDARD.encode(mac.finalize().into_bytes()), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

#[test]
fn the_base_of_a_request_of_ours() {
    let message = Message { authority: "Makenot.WORK:8443", path: "", query: None, ..MESSAGE };
    let authority = message.lower_case_authority();
    let mut base = String::new();
    base::write(message.components(&authority), COVERED, |part| base.push_str(part));
    assert_eq!(
        base,
        r#""@method": GET
"@authority": makenot.work:8443
"@path": /
"@query": ?
"edge-facts": client="203.0.113.7", id="0af7651916cd43dd8448eb211c80319c"
"@signature-params": ("@method" "@authority" "@path" "@query" "edge-facts")"#
    );
}

#[test]
fn what_goes_over_the_wire() {
    let fields = keys().signing().sign(&MESSAGE, NOW);
    assert_eq!(
        fields.input,
        r#"edge=("@method" "@authority" "@path" "@query" "edge-facts");created=1800000000;keyid="new";alg="hmac-sha256";tag="makenotwork-edge""#
    );
    // From an HMAC of another implementation over the base written out by hand.
    assert_eq!(fields.signature, "edge=:LIWOc/QEVQ7vEjJ/qB3U7xDgqzP7urGCF6OfZqTgxiI=:");
    let input: sfv::Dictionary = sfv::Parser::new(&fields.input).parse().unwrap();
    let signature: sfv::Dictionary = sfv::Parser::new(&fields.signature).parse().unwrap();
    assert!(input.get("edge").is_some() && signature.get("edge").is_some());
}

#[test]
fn each_key_verifies() {
    let keys = keys();
    for (place, key) in keys.iter().enumerate() {
        let fields = key.sign(&MESSAGE, NOW);
        assert_eq!(verify(&MESSAGE, &fields.input, &fields.signature, NOW), Ok(Verified { created: NOW, key: place }));
    }
    let stranger = Key::new("stranger", &(9..41).collect::<Vec<_>>()).unwrap().sign(&MESSAGE, NOW);
    assert_eq!(verify(&MESSAGE, &stranger.input, &stranger.signature, NOW), Err(SignatureError::UnknownKey));
    let thief = Key::new("new", &(9..41).collect::<Vec<_>>()).unwrap().sign(&MESSAGE, NOW);
    assert_eq!(verify(&MESSAGE, &thief.input, &thief.signature, NOW), Err(SignatureError::Mismatch));
}

#[test]
fn holds_for_this_message_only() {
    let fields = keys().signing().sign(&MESSAGE, NOW);
    let check = |message: Message<'_>| verify(&message, &fields.input, &fields.signature, NOW);
    assert!(check(Message { authority: "MAKENOT.work", ..MESSAGE }).is_ok());
    for other in [
        Message { method: "get", ..MESSAGE },
        Message { method: "POST", ..MESSAGE },
        Message { authority: "makenot.work:443", ..MESSAGE },
        Message { authority: "forums.makenot.work", ..MESSAGE },
        Message { path: "/a/b/", ..MESSAGE },
        Message { path: "/A/b", ..MESSAGE },
        Message { path: "", ..MESSAGE },
        Message { query: Some("c=e"), ..MESSAGE },
        Message { query: Some(""), ..MESSAGE },
        Message { query: None, ..MESSAGE },
        Message { facts: r#"client="203.0.113.8", id="0af7651916cd43dd8448eb211c80319c""#, ..MESSAGE },
        Message { facts: "", ..MESSAGE },
    ] {
        assert_eq!(check(other), Err(SignatureError::Mismatch), "{other:?}");
    }
    let bare = keys().signing().sign(&Message { query: None, path: "", ..MESSAGE }, NOW);
    let same = Message { query: Some(""), path: "/", ..MESSAGE };
    assert!(verify(&same, &bare.input, &bare.signature, NOW).is_ok());
}

#[test]
fn a_line_break_moves_nothing_between_components() {
    // Two messages whose bases would read alike, were line breaks let through.
    let sent = Message { authority: "a\n\"@path\": /b\n\"@query\": ?", path: "/c", ..MESSAGE };
    let fields = keys().signing().sign(&sent, NOW);
    assert_eq!(verify(&sent, &fields.input, &fields.signature, NOW), Err(SignatureError::Malformed));
    for message in [
        Message { facts: "a\nb", ..MESSAGE },
        Message { path: "/\r", ..MESSAGE },
        Message { query: Some("\0"), ..MESSAGE },
        Message { method: "GET\n", ..MESSAGE },
        Message { authority: "ä", ..MESSAGE },
    ] {
        let fields = keys().signing().sign(&message, NOW);
        assert_eq!(verify(&message, &fields.input, &fields.signature, NOW), Err(SignatureError::Malformed));
    }
}

#[test]
fn the_window_has_exact_ends() {
    let fields = keys().signing().sign(&MESSAGE, NOW);
    let at = |now| verify(&MESSAGE, &fields.input, &fields.signature, now).map(|verified| verified.created);
    assert_eq!(at(NOW + 30), Ok(NOW));
    assert_eq!(at(NOW + 31), Err(SignatureError::Expired));
    assert_eq!(at(NOW - 5), Ok(NOW));
    assert_eq!(at(NOW - 6), Err(SignatureError::NotYetValid));
    assert_eq!(at(0), Err(SignatureError::NotYetValid));
    assert_eq!(at(u64::MAX), Err(SignatureError::Expired));
    let early = keys().signing().sign(&MESSAGE, 0);
    assert!(verify(&MESSAGE, &early.input, &early.signature, 3).is_ok());
}

#[test]
fn only_the_one_form_is_read() {
    let SignatureFields { input, signature } = keys().signing().sign(&MESSAGE, NOW);
    assert_eq!(verify(&MESSAGE, "", &signature, NOW), Err(SignatureError::Missing));
    assert_eq!(verify(&MESSAGE, &input, "", NOW), Err(SignatureError::Missing));
    for odd in [
        format!("{input}, {input}"),
        format!("{input}, other=()"),
        format!("other=(), {input}"),
        format!("{input};expires=1900000000"),
        format!("{input};nonce=\"x\""),
        format!(" {input}"),
        input.replace("edge=", "edge2="),
        input.replace(" \"edge-facts\"", ""),
        input.replace("\"edge-facts\"", "\"edge-facts\";sf"),
        input.replace("\"edge-facts\"", "\"edge-facts\" \"date\""),
        input.replace("\"@path\" \"@query\"", "\"@query\" \"@path\""),
        input.replace("\"@path\" \"@query\"", "\"@path\"  \"@query\""),
        input.replace("(\"@method\"", "(\"@method\" \"@method\""),
        input.replace("hmac-sha256", "hmac-sha512"),
        input.replace(";alg=\"hmac-sha256\"", ""),
        input.replace("makenotwork-edge", "other"),
        input.replace(";created=1800000000", ""),
        input.replace("created=1800000000", "created=1800000000;created=1800000000"),
        input.replace("1800000000", "01800000000"),
        input.replace("1800000000", "+1800000000"),
        input.replace("1800000000", "1800000000.0"),
        input.replace("1800000000", "\"1800000000\""),
        input.replace("1800000000", "-1800000000"),
        input.replace("1800000000", "1800000000000000"),
        input.replace("1800000000", ""),
        input.replace("\"new\"", "new"),
        input.replace("\"new\"", "\"\""),
        input.replace("\"new\"", "\"new\";keyid=\"new\""),
        input.replace("\"new\"", "\"n\\\"ew\""),
        input.replace(";keyid=\"new\";alg=\"hmac-sha256\"", ";alg=\"hmac-sha256\";keyid=\"new\""),
    ] {
        assert_ne!(odd, input);
        assert_eq!(verify(&MESSAGE, &odd, &signature, NOW), Err(SignatureError::Malformed), "{odd}");
    }
    for odd in [
        format!("{signature}, {signature}"),
        format!("{signature} "),
        signature.replace("edge=", "other="),
        signature.replace("=:", "="),
        signature.replace("=:", ""),
        signature.replace(':', "\""),
        format!("edge=:{}:", STANDARD.encode([0; 31])),
        format!("edge=:{}:", STANDARD.encode([0; 33])),
        format!("edge=:{}:", STANDARD.encode([0; 64])),
        format!("edge=:{}B=:", "A".repeat(42)),
        "edge=::".to_owned(),
    ] {
        assert_eq!(verify(&MESSAGE, &input, &odd, NOW), Err(SignatureError::Malformed), "{odd}");
    }
}

#[test]
fn each_bit_of_the_signature_counts() {
    let fields = keys().signing().sign(&MESSAGE, NOW);
    let bytes = parse_signature(&fields.signature).unwrap();
    for bit in 0..256 {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let signature = format!("edge=:{}:", STANDARD.encode(bytes));
        assert_eq!(verify(&MESSAGE, &fields.input, &signature, NOW), Err(SignatureError::Mismatch));
    }
}

proptest! {
    /// The rule in one sentence: what is read is what would be written for the same time and key.
    #[test]
    fn what_is_read_is_what_would_be_written(edit in 0_usize..200, new in "[ -~]{0,3}") {
        let written = keys().signing().sign(&MESSAGE, NOW).input;
        let at = edit.min(written.len());
        let to = (at + 2).min(written.len());
        let edited = format!("{}{new}{}", &written[..at], &written[to..]);
        if let Some(input) = Input::parse(&edited) {
            let key = Key::new(input.key_id, &(1..33).collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(key.sign(&MESSAGE, input.created).input, edited);
        }
    }

    #[test]
    fn never_panics(input in any::<String>(), signature in any::<String>(), now in any::<u64>()) {
        let _ = verify(&MESSAGE, &input, &signature, now);
    }

    #[test]
    fn any_message_comes_back(
        method in "[A-Z]{1,8}", authority in "[a-zA-Z0-9.:-]{1,30}", path in "/[!-~]{0,40}",
        query in proptest::option::of("[!-~]{0,40}"), facts in "[ -~]{0,80}",
    ) {
        let message = Message { method: &method, authority: &authority, path: &path, query: query.as_deref(), facts: &facts };
        let fields = keys().signing().sign(&message, NOW);
        prop_assert!(verify(&message, &fields.input, &fields.signature, NOW).is_ok());
    }
}
