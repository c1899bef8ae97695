//! Moving from Caddy, by docs/deploy.md: the steps in their order, each forth and back, while visitors come, over TLS and in clear text.

mod site;

use std::fs;
use std::time::{Duration, Instant};

use stack::keys::{Authority, ExtendedKeyUsagePurpose};

use crate::client::trusting;
use crate::machine::can_be_had;
use site::{SERVER, Site};

const BESIDE: &str = "listen.https = [\"[::]:8443\"]\nlisten.redirect = [\"[::]:8080\"] # as docs/deploy.md has it\n";
const ALONE: &str = "listen.https = [\"[::]:443\", \"[::]:8443\"]\nlisten.redirect = [\"[::]:80\", \"[::]:8080\"] # as docs/deploy.md has it\n";

#[test]
fn from_caddy_and_back_without_a_lost_request() {
    if !can_be_had() {
        return;
    }
    let mut site = Site::new();
    assert!(says_in_time(&site, "h3=") && site.answers_by_caddy(), "as Caddy comes: {}", alt_svc(&site));

    for (what, servers, says) in [
        ("Caddy takes HTTP/3 back", "servers {\nprotocols h1 h2\n}", "clear"),
        ("and gives it again", "", "h3="),
        ("Caddy takes HTTP/3 back once more", "servers {\nprotocols h1 h2\n}", "clear"),
    ] {
        site.without_loss(what, |site| {
            site.write_caddyfile(servers);
            site.reload_caddy();
        });
        if !says_in_time(&site, says) && says == "h3=" && alt_svc(&site).is_empty() {
            println!("caddy    {what}: not by the reload; restarted, as docs/deploy.md has it");
            let (code, said) = site.shell("systemctl restart caddy");
            assert_eq!(code, Some(0), "{said}");
        }
        assert!(says_in_time(&site, says), "{what}: {}", alt_svc(&site));
    }

    site.write_configuration();
    site.without_loss("the gateway is started beside it", Site::start_gateway);
    site.without_loss("and stopped", |site| site.gateway = None);
    assert!(site.ports_of("origin").is_empty());
    site.without_loss("and started", Site::start_gateway);
    assert_eq!((site.ports_of("origin"), site.answers_by_caddy()), (vec![8080, 8443, 9180], true));

    // `cargo zone ca install` and `cargo zone ca off`: Caddy does not ask for the certificate.
    for pulls in [true, false, true] {
        site.pulls = pulls;
        site.without_loss("Cloudflare shows its certificate, or does not", |_| ());
    }
    certificates_are_imported(&site);
    answers_are_compared(&site);

    switched_and_back(&mut site);
    ports_change_hands(&mut site);
}

fn alt_svc(site: &Site) -> String {
    site.field(site.client(), "alt-svc").expect("an answer")
}

/// Whether Caddy says this of HTTP/3, whose port it opens a moment after it has started or been reloaded.
fn says_in_time(site: &Site, says: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let said = alt_svc(site).contains(says);
        if said || Instant::now() > until {
            return said;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// New connections, by a rule of nftables.
fn switched_and_back(site: &mut Site) {
    let said_of = |who: [&str; 2]| {
        format!("new connections for port 443 go to {}\nnew connections for port 80 go to {}\n", who[0], who[1])
    };
    let to_caddy = said_of(["Caddy", "Caddy"]);
    for _ in 0..2 {
        site.without_loss("switched to the gateway", |site| {
            let (code, said) = site.script("switch", "origin 8443 8080");
            assert_eq!((code, said), (Some(0), said_of(["the gateway, :8443", "the gateway, :8080"])));
        });
        assert!(!site.answers_by_caddy());
        // Had origin pulls not been turned on before, this would be everybody.
        site.pulls = false;
        assert!(site.field(site.client(), "server").is_err(), "who does not show the zone's certificate is refused");
        site.pulls = true;
        site.without_loss("switched back to Caddy", |site| {
            let (code, said) = site.script("switch", "caddy");
            assert_eq!((code, said), (Some(0), to_caddy.clone()));
        });
        assert!(site.answers_by_caddy());
    }
    for (arguments, complaint) in [
        ("origin 8444", "nobody listens on port 8444: start the gateway with listen.https"),
        ("origin 8443 8081", "nobody listens on port 8081: start the gateway with listen.redirect"),
    ] {
        let (code, said) = site.script("switch", arguments);
        assert!(code == Some(1) && said.contains(complaint), "{said}");
    }
    assert_eq!(site.script("switch", "").1, to_caddy);
    assert_eq!(site.script("switch", "origin").1, said_of(["the gateway, :8443", "Caddy"]));
    assert_eq!(site.script("switch", "origin 8443 8080").0, Some(0));
}

/// The ports themselves, by `takeover`.
fn ports_change_hands(site: &mut Site) {
    let (code, said) = site.script("takeover", "--dry-run gateway");
    assert!(code == Some(0) && said.contains("   systemctl disable --now caddy\n"), "{said}");
    let (code, said) = site.script("takeover", "caddy");
    assert!(code == Some(1) && said.contains("nothing has changed: "), "{said}");
    assert_eq!((site.listen_lines().as_str(), site.ports_of("caddy").contains(&443)), (BESIDE, true));

    // A gateway that does not come up on them: all is as before.
    let file = site.path("origin.toml");
    let good = fs::read_to_string(&file).expect("read");
    fs::write(&file, format!("nonsense = 1\n{good}")).expect("written");
    site.without_loss("Caddy stopped, the gateway does not get its ports, and Caddy is back", |site| {
        let (code, said) = site.script_with("WAIT=1", "takeover", "gateway");
        assert!(code == Some(1) && said.contains("it is as it was before"), "{said}");
    });
    assert_eq!(site.listen_lines(), format!("nonsense = 1\n{BESIDE}"));
    assert_eq!((site.ports_of("caddy").contains(&443), site.ports_of("origin")), (true, vec![8080, 8443, 9180]));
    fs::write(&file, good).expect("written");

    site.without_loss("Caddy stopped, and the gateway on its ports", |site| {
        let (code, said) = site.script("takeover", "gateway");
        assert!(code == Some(0) && said.ends_with("the gateway has ports 443 and 80\n"), "{said}");
    });
    assert!(!site.answers_by_caddy());
    assert_eq!((site.listen_lines().as_str(), site.ports_of("caddy")), (ALONE, vec![]));
    assert_eq!(site.ports_of("origin"), [80, 443, 8080, 8443, 9180]);
    for port in [8443, 8080] {
        let other = site.client().at(format!("{SERVER}:{port}").parse().expect("an address"));
        let other = async move || tokio::time::timeout(Duration::from_secs(1), other.get("/who")).await;
        assert!(site.outside.host(other).join().expect("no panic").is_err(), "{port} was never open to the world");
    }

    site.without_loss("and back to Caddy from there", |site| {
        let (code, said) = site.script("takeover", "caddy");
        assert!(code == Some(0) && said.ends_with("Caddy has the ports\n"), "{said}");
    });
    assert!(site.answers_by_caddy());
    assert_eq!((site.listen_lines().as_str(), site.ports_of("origin")), (BESIDE, vec![8080, 8443, 9180]));
}

/// What Caddy has of creators' certificates is taken over while both run, and shown by the gateway.
fn certificates_are_imported(site: &Site) {
    let name = "creator.example";
    let authority = Authority::new("of a CA").expect("made");
    let (cert, key) = authority.issue(&[name], ExtendedKeyUsagePurpose::ServerAuth).expect("issued");
    let store = site.path("caddy/certificates/ca.example-directory").join(name);
    fs::create_dir_all(&store).expect("made");
    fs::write(store.join(format!("{name}.crt")), cert).expect("written");
    fs::write(store.join(format!("{name}.key")), key).expect("written");
    fs::write(store.join(format!("{name}.json")), "{}").expect("written");
    let import = || {
        let mut command = site.server.command(&site.binary);
        command.arg("import-caddy").arg(site.path("caddy")).arg("--config").arg(site.path("origin.toml"));
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.ends_with("1 taken over, 0 kept, 0 refused\n"), "{said}");
    };
    import();
    // And undone, and done again.
    fs::remove_dir_all(site.path("acme")).expect("it is there");
    import();
    let ca = authority.pem;
    let handshake = site.server.host(move || async move {
        let stream = tokio::net::TcpStream::connect("127.0.0.1:8443").await.expect("it accepts");
        let name = rustls_pki_types::ServerName::try_from("creator.example").expect("a name");
        trusting(&ca).connect(name, stream).await.map(drop)
    });
    handshake.join().expect("no panic").expect("its own certificate");
}

/// What the log has is asked of both.
fn answers_are_compared(site: &Site) {
    let client = site.client();
    let visits = site.outside.host(move || async move {
        for target in ["/page", "/who?a=1", "/static/app.css", "/only-caddys"] {
            client.get(target).await.expect("an answer");
        }
    });
    visits.join().expect("no panic");
    let log = site.path("access.log");
    let ca = site.credentials.files.ca.display();
    let pair = site.path("pair.pem");
    let (certificate, key) = &site.credentials.client;
    fs::write(&pair, format!("{certificate}{key}")).expect("written");
    let compare = |more: &str| {
        let client = pair.display();
        site.script("compare.py", &format!("--ca {ca} --client {client} {more} {}", log.display()))
    };
    // What the gateway says of static files, and Caddy does not.
    let own =
        "--ignore etag --ignore cache-control --ignore cross-origin-resource-policy --ignore x-content-type-options";
    let (code, said) = compare("");
    assert!(code == Some(1) && said.contains("cache-control: – → public, max-age=0, must-revalidate\n"), "{said}");
    let (code, said) = compare(own);
    println!("{said}");
    assert!(code == Some(1) && said.contains("GET makenot.work/only-caddys\n  x-extra: 1 → –\n"), "{said}");
    assert!(said.contains(" 1 differ, 0 differ at Caddy itself"), "what differs, and nothing else: {said}");
    assert!(!said.contains("a=1"), "queries are not shown: {said}");
    let (code, said) = compare(&format!("{own} --ignore x-extra"));
    assert!(code == Some(0) && said.contains(" 0 differ, 0 differ at Caddy itself"), "{said}");
    let (code, said) = compare("--origin 127.0.0.1:1");
    assert!(code == Some(75) && said.contains("Connection refused"), "{said}");
    fs::write(site.path("none.log"), "not json\n{}\n").expect("written");
    let (code, said) = site.script("compare.py", &site.path("none.log").display().to_string());
    assert!(code == Some(2) && said.contains("no GET among 2 lines"), "{said}");
}
