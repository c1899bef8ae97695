//! An authority of our own: made, installed, rotated; and the server's certificate.

use std::fs;
use std::process::Command;

use deploy::{Needed, have};

use crate::world::World;

/// Runs openssl in the world's folder, and returns what it wrote.
fn openssl(world: &World, arguments: &[&str]) -> (bool, String) {
    have(&[Needed { program: "openssl", package: "openssl" }]);
    let output = Command::new("openssl").args(arguments).current_dir(&world.folder).output().expect("openssl is there");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn the_zone_shows_nothing_that_the_gateway_does_not_trust() {
    let world = World::new();
    world.has(0, &["ca", "new", "ca"]);
    let (good, said) = openssl(
        &world,
        &["verify", "-CAfile", "ca/zone-ca.pem", "-purpose", "sslclient", "-x509_strict", "ca/client.pem"],
    );
    assert!(good, "{said}");
    let said = world.has(1, &["ca", "new", "ca"]);
    assert!(said.contains("has an authority already"), "{said}");

    // The gateway has another's.
    world.has(0, &["ca", "new", "other"]);
    let said = world.has(1, &["ca", "install", "ca", "--trusted", "other/zone-ca.pem"]);
    assert!(
        said.contains(
            "the gateway does not trust the authority of ca/client.pem yet: put ca/zone-ca.pem there as tls.client_ca"
        ),
        "{said}"
    );
    assert!(world.cloudflare.writes().is_empty());

    let said = world.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
    assert!(said.contains("the certificate is uploaded") && said.contains("off → on"), "{said}");
    let asked = world.cloudflare.writes();
    let paths: Vec<_> = asked.iter().map(|it| (it.method.as_str(), it.path.rsplit('/').next().unwrap())).collect();
    assert_eq!(paths, [("POST", "origin_tls_client_auth"), ("PUT", "settings")]);
    world.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
    assert!(world.cloudflare.writes().is_empty(), "a second time changes nothing");

    // Somebody turned it off.
    world.cloudflare.zone().pulls_enabled = false;
    world.edit("deploy/cloudflare/zone.toml", "[dns]\nfile = \"../zone/makenot.work.zone\"\n", "");
    world.has(2, &["apply", "--yes"]);
    assert!(!world.cloudflare.zone().pulls_enabled);
    let said = world.has(2, &["apply", "--yes", "--trusted", "other/zone-ca.pem"]);
    assert!(said.contains("! origin pulls   off → on: the gateway does not trust the authority"), "{said}");
    world.has(0, &["apply", "--yes", "--trusted", "ca/zone-ca.pem"]);
    assert!(world.cloudflare.zone().pulls_enabled);
}

/// The way back, for a site whose gateway does not demand the certificate yet.
#[test]
fn origin_pulls_are_turned_off_by_a_command() {
    let world = World::applied();
    let said = world.has(1, &["ca", "off"]);
    assert!(said.contains("nothing was done: nobody can be asked here, so say --yes"), "{said}");
    assert!(world.cloudflare.zone().pulls_enabled && world.cloudflare.writes().is_empty());
    let said = world.has(0, &["ca", "off", "--yes"]);
    assert!(said.contains("~ origin pulls   on → off"), "{said}");
    assert!(!world.cloudflare.zone().pulls_enabled);
    let asked = world.cloudflare.writes();
    assert!(asked.len() == 1 && asked[0].path.ends_with("origin_tls_client_auth/settings"), "{asked:?}");
    world.has(0, &["ca", "off"]);
    assert!(world.cloudflare.writes().is_empty(), "a second time changes nothing");
    world.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
    assert!(world.cloudflare.zone().pulls_enabled, "what was uploaded is shown again");
}

/// Whatever is wrong with a file, it is named.
#[test]
fn a_file_that_is_wrong_is_named() {
    let world = World::new();
    world.has(0, &["ca", "new", "ca"]);
    let good = |name: &str| fs::read_to_string(world.path(&format!("ca/{name}"))).unwrap();
    let install = ["ca", "install", "ca", "--trusted", "trusted.pem"];
    fs::write(world.path("trusted.pem"), good("zone-ca.pem")).unwrap();
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, text, arguments, told) in [
        ("ca/client.pem", "", &install[..], "ca/client.pem holds no certificate in PEM"),
        ("ca/client.pem", no_certificate, &install, "ca/client.pem is no certificate: "),
        ("trusted.pem", "", &install, "trusted.pem holds no certificate in PEM"),
        ("trusted.pem", no_certificate, &install, "trusted.pem is no certificate: "),
        ("ca/zone-ca.pem", "", &["ca", "rotate", "ca"], "ca/zone-ca.pem holds no certificate in PEM"),
        ("ca/authority.key", "", &["ca", "rotate", "ca", "--client-only"], "ca/authority.key is no key in PEM: "),
        (
            "ca/authority.pem",
            "",
            &["ca", "rotate", "ca", "--client-only"],
            "ca/authority.pem is no authority's certificate in PEM: ",
        ),
    ] {
        let before = fs::read_to_string(world.path(file)).unwrap();
        fs::write(world.path(file), text).unwrap();
        let said = world.has(1, arguments);
        assert!(said.contains(told), "{told}\n{said}");
        fs::write(world.path(file), before).unwrap();
    }
}

#[test]
fn while_an_authority_is_rotated_what_is_shown_is_trusted_at_every_moment() {
    let world = World::new();
    world.has(0, &["ca", "new", "ca"]);
    // The gateway, which has what was copied to it.
    let gateway = world.path("gateway.pem");
    let copy = || fs::copy(world.path("ca/zone-ca.pem"), &gateway).unwrap();
    copy();
    world.has(0, &["ca", "install", "ca", "--trusted", "gateway.pem"]);
    let shown = |world: &World| {
        let zone = world.cloudflare.zone();
        let active = zone.pulls.iter().rfind(|it| it["status"] == "active").unwrap();
        fs::write(world.path("shown.pem"), active["certificate"].as_str().unwrap()).unwrap();
    };
    let trusted = |world: &World| {
        shown(world);
        openssl(world, &["verify", "-CAfile", "gateway.pem", "-purpose", "sslclient", "shown.pem"]).0
    };
    assert!(trusted(&world));
    world.has(0, &["ca", "rotate", "ca"]);
    let said = world.has(1, &["ca", "install", "ca", "--trusted", "gateway.pem"]);
    assert!(said.contains("does not trust") && trusted(&world), "the gateway comes first: {said}");
    assert!(world.has(1, &["ca", "rotate", "ca"]).contains("a rotation is under way"));
    copy();
    assert!(trusted(&world), "both are trusted");
    // Cloudflare fails after the upload: nothing is lost, and it goes on.
    let fault = deploy::cloudflare::Fault {
        method: "DELETE",
        path: "origin_tls_client_auth",
        after: 0,
        status: 503,
        code: 1000,
    };
    world.cloudflare.zone().faults.push(fault);
    world.has(1, &["ca", "install", "ca", "--trusted", "gateway.pem"]);
    assert!(trusted(&world));
    let said = world.has(0, &["ca", "install", "ca", "--trusted", "gateway.pem"]);
    assert!(
        said.contains("- origin pulls   the certificate before") && said.contains("the rotation is over"),
        "{said}"
    );
    assert!(trusted(&world));
    copy();
    assert!(trusted(&world), "the old one is gone from both");
    assert_eq!(fs::read_to_string(&gateway).unwrap().matches("BEGIN CERTIFICATE").count(), 1);

    // A new certificate of the same authority needs nothing of the gateway.
    world.has(0, &["ca", "rotate", "ca", "--client-only"]);
    world.has(0, &["ca", "install", "ca", "--trusted", "gateway.pem"]);
    assert!(trusted(&world));
    let active = world.cloudflare.zone().pulls.iter().filter(|it| it["status"] == "active").count();
    assert_eq!(active, 1);
}

#[test]
fn the_servers_certificate_is_had_without_its_key() {
    let world = World::new();
    for (kind, new, asked) in [
        ("rsa", &["rsa:2048"][..], "origin-rsa"),
        ("ec", &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "origin-ecc"),
    ] {
        let key = format!("{kind}.key");
        let csr = format!("{kind}.csr");
        let request =
            [&["req", "-new", "-nodes", "-subj", "/CN=makenot.work", "-keyout", &key, "-out", &csr, "-newkey"], new]
                .concat();
        let (good, said) = openssl(&world, &request);
        assert!(good, "{said}");
        let pem = world.has(0, &["certificate", &csr]);
        fs::write(world.path("server.pem"), &pem).unwrap();
        let (good, said) = openssl(&world, &["x509", "-in", "server.pem", "-noout", "-ext", "subjectAltName"]);
        assert!(good && said.contains("DNS:makenot.work, DNS:*.makenot.work"), "{said}");
        let asked_for = world.cloudflare.writes();
        assert_eq!(asked_for.len(), 1);
        assert_eq!(
            (&asked_for[0].body["request_type"], &asked_for[0].body["requested_validity"]),
            (&asked.into(), &5475.into())
        );
        assert!(!asked_for[0].body.to_string().contains("PRIVATE KEY"));
    }
    let said = world.has(1, &["certificate", "rsa.key"]);
    assert!(said.contains("the request is not one in PEM"), "{said}");
    world.edit("deploy/cloudflare/zone.toml", "days = 5475", "days = 100");
    assert!(
        world
            .has(1, &["certificate", "rsa.csr"])
            .contains("origin_certificate.days: 100; it is one of [7, 30, 90, 365,")
    );
}
