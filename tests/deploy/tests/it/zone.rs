//! The zone file and its lint, with BIND's checker, and a DNS server that knows what the vendors publish.

use std::{fs, path::Path, process::Command};

use deploy::dns::Dns;
use deploy::{Needed, deploy, have};
use stack::drill::Drill;

const NEEDED: [Needed; 2] = [
    Needed { program: "named-compilezone", package: "bind9-utils" },
    Needed { program: "openssl", package: "openssl" },
];

/// SPF records of others: Fastmail's needs nothing more, `deep` needs ten look-ups, `two` has two records.
const TEXTS: [&str; 6] = [
    "spf.inbox.example,v=spf1 ip4:192.0.2.0/24 -all",
    "spf.messagingengine.com,v=spf1 ip4:66.111.4.0/24 ip4:103.168.172.128/27 ~all",
    "deep.example,v=spf1 a mx a:x.example mx:x.example exists:x.example include:deeper.example ~all",
    "deeper.example,v=spf1 a mx a:y.example exists:y.example ~all",
    "two.example,v=spf1 ip4:192.0.2.1 ~all",
    "two.example,v=spf1 -all",
];

/// A DNS server that knows what the vendors publish.
fn vendors() -> Dns {
    Dns::start(&TEXTS.map(|text| format!("--txt-record={text}")))
}

/// The exit code of the lint, and what it said.
fn lint(folder: &Path, dns: &str) -> (Option<i32>, String) {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(deploy().join("zone/lint"))
        .args(["--dns", dns])
        .arg(folder.join("makenot.work.zone"))
        .env("PATH", path)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), said)
}

/// Mail moves to vendors that this project has never heard of: what DNS says of it is one block of the zone and one policy.
#[test]
fn mail_moves_to_other_vendors() {
    have(&NEEDED);
    let mut drill = Drill::begin("mail", "cargo test -p deploy --test it -- mail_moves --nocapture");
    let dns = vendors();
    drill.done("a DNS server that has what two other vendors publish");
    let folder = tempfile::tempdir().unwrap();
    let zone = fs::read_to_string(deploy().join("zone/makenot.work.zone")).unwrap();
    let (before, rest) = zone.split_once("; --- Mail comes to Fastmail.").unwrap();
    let (mail, _programs) = rest.split_once("; --- Mail programs find").unwrap();
    let ours = mail
        .lines()
        .filter(|line| ["_dmarc", "mta-sts", "_mta-sts", "_smtp._tls"].iter().any(|it| line.starts_with(it)));
    let key = mail.lines().find(|line| line.contains("pm._domainkey")).unwrap().split_once("pm._domainkey").unwrap().1;
    let theirs = format!(
        "@\tMX\t10 mx1.inbox.example.\n@\tMX\t20 mx2.inbox.example.\n@\tTXT\t\"v=spf1 include:spf.inbox.example -all\"\n\
         in1._domainkey\tCNAME\tin1.makenot.work.dkim.inbox.example.\nsend._domainkey{key}\nbounce\tCNAME\treturn.sender.example.\n{}\n",
        ours.collect::<Vec<_>>().join("\n")
    );
    let policy = "version: STSv1\nmode: testing\nmx: mx1.inbox.example\nmx: mx2.inbox.example\nmax_age: 604800\n";
    let write = |zone: &str| {
        fs::write(folder.path().join("makenot.work.zone"), zone).unwrap();
        fs::write(folder.path().join("mta-sts.txt"), policy).unwrap();
    };
    let moved = format!("{before}{theirs}");
    write(&moved);
    let (code, said) = lint(folder.path(), &dns.address);
    // As docs/leaving.md has it: the lint says the id of the new policy.
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    drill
        .done("MX, SPF, DKIM, return path and policy are the new vendors'; deploy/zone/lint wants the policy's new id");
    drill.said(said.lines());
    let id = said.split_once("it is 'v=STSv1; id=").unwrap().1.trim_end().trim_end_matches('\'');
    let moved = moved.replace("id=280a65aa74ea", &format!("id={id}"));
    write(&moved);
    let (code, said) = lint(folder.path(), &dns.address);
    assert_eq!(code, Some(0), "{said}");
    drill.done("with it the zone is good");
    drill.said(said.lines());
    for vendor in ["fastmail", "messagingengine", "fmhosted", "mtasv", "postmark"] {
        let named = moved.lines().find(|line| !line.starts_with(';') && line.to_lowercase().contains(vendor));
        assert_eq!(named, None, "{vendor} is still named");
    }
    drill.done("no record names Fastmail or Postmark any more");
    write(&moved.replace("in1._domainkey", "in1").replace("send._domainkey", "send"));
    let (code, said) = lint(folder.path(), &dns.address);
    assert!(code == Some(1) && said.contains("there is no DKIM"), "{said}");
    drill.done("without DKIM keys the lint refuses it");
    drill.said(said.lines());
    drill.end();
}

#[test]
fn the_zone_is_good_and_what_is_wrong_is_found() {
    have(&NEEDED);
    let dns = vendors();
    let folder = tempfile::tempdir().unwrap();
    let zone = fs::read_to_string(deploy().join("zone/makenot.work.zone")).unwrap();
    let policy = fs::read_to_string(deploy().join("zone/mta-sts.txt")).unwrap();
    let write = |zone: &str, policy: &str| {
        fs::write(folder.path().join("makenot.work.zone"), zone).unwrap();
        fs::write(folder.path().join("mta-sts.txt"), policy).unwrap();
    };
    write(&zone, &policy);
    let (code, said) = lint(folder.path(), &dns.address);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SPF needs 1 of 10 look-ups") && said.contains("its addresses are examples"), "{said}");

    let include = "include:spf.messagingengine.com";
    // What is changed in the zone, and what the lint says of it.
    let wrong = [
        ("300\tA\t203.0.113.10", "300\tA\t203.0.113.310", "bad dotted quad"),
        (
            "www\t\t300\tCNAME\tmakenot.work.",
            "www\t\t300\tCNAME\tmakenot.work.\nwww\tA\t203.0.113.10",
            "CNAME and other data",
        ),
        ("www\t\t300\tCNAME\tmakenot.work.", "www\t\t300\tMX\t1 makenot.work.", "there is no address for www"),
        ("\"v=spf1 ", "\"spf1 ", "there is no SPF record"),
        ("@\tTXT\t\"v=spf1", "@\tTXT\t\"v=spf1 -all\"\n@\tTXT\t\"v=spf1", "there are 2 SPF records; two count as none"),
        (" -all\"", " +all\"", "SPF ends with '+all'"),
        (include, "include:nobody.example", "SPF of makenot.work names nobody.example, which has none"),
        (include, "include:two.example", "names two.example, which has more than one"),
        (include, "include:spf.messagingengine.com include:deep.example", "SPF needs more than 10 look-ups"),
        (include, "ptr", "uses ptr"),
        (
            "fm2.makenot.work.dkim",
            "fm1.makenot.work.dkim",
            "fm2._domainkey leads to 'fm1.makenot.work.dkim.fmhosted.com.'",
        ),
        ("20261128000000pm._domainkey", "20261128000000x._domainkey", "there is no key of Postmark's"),
        ("k=rsa; p=MIG", "k=rsa; p=MIX", "20261128000000pm._domainkey has no readable key"),
        ("pm.mtasv.net.", "pm.example.net.", "pm-bounces is no CNAME to pm.mtasv.net."),
        ("v=DMARC1; p=quarantine", "v=DMARC1; sp=quarantine", "_dmarc is not of the form"),
        ("v=DMARC1; p=quarantine", "v=DMARC1; p=none", "_dmarc says p=none"),
        ("dmarc@makenot.work\"", "dmarc@example.net\"", "_dmarc has no rua=mailto:… at makenot.work"),
        ("_dmarc\tTXT", "_dmarc\tTXT\t\"v=DMARC1; p=reject\"\n_dmarc\tTXT", "_dmarc has 2 TXT records"),
        (
            "20 in2-smtp.messagingengine.com.",
            "20 in3-smtp.messagingengine.com.",
            "mail goes to in3-smtp.messagingengine.com",
        ),
        ("20 in2-smtp.messagingengine.com.", "20 in2-smtp.messagingengine.com", "MX"),
        ("v=STSv1; id=", "v=STSv1; id=0", "for this policy it is 'v=STSv1; id="),
        ("mta-sts\t300", "mta-stz\t300", "there is no mta-sts, which serves the policy"),
        ("v=TLSRPTv1; rua", "v=TLSRPTv1; ruf", "_smtp._tls is not of the form"),
        ("issue \"letsencrypt.org\"", "issue \"example.org\"", "CAA does not let letsencrypt.org issue:"),
        ("issuewild \"ssl.com\"", "issuewild \"example.com\"", "CAA does not let ssl.com issuewild"),
    ];
    for (from, to, complaint) in wrong {
        assert!(zone.contains(from), "{from}");
        write(&zone.replacen(from, to, 1), &policy);
        let (code, said) = lint(folder.path(), &dns.address);
        assert_eq!(code, Some(1), "{from} → {to}\n{said}");
        assert!(said.contains(complaint), "{from} → {to}\n{said}");
    }

    // The policy changes: its id must.
    for (from, to, complaint) in [
        ("mode: testing", "mode: enforce", "for this policy it is"),
        ("mode: testing", "mode: on", "has no 'mode: testing', 'enforce' or 'none'"),
        ("max_age: 604800", "max_age: 600", "max_age is '600'; it is a day to a year"),
        ("mx: in2-smtp", "mx: in9-smtp", "mail goes to in2-smtp.messagingengine.com, which"),
    ] {
        write(&zone, &policy.replacen(from, to, 1));
        let (code, said) = lint(folder.path(), &dns.address);
        assert_eq!(code, Some(1), "{from} → {to}\n{said}");
        assert!(said.contains(complaint), "{from} → {to}\n{said}");
    }

    // Nobody answers.
    write(&zone, &policy);
    let address = dns.address.clone();
    drop(dns);
    let (code, said) = lint(folder.path(), &address);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("DNS did not say all of the SPF; what could be checked is good"), "{said}");
}
