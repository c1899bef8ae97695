//! The firewall of `deploy/firewall`, in a network namespace of its own: a server, and clients at Cloudflare's addresses, elsewhere and in a private network
//! send it real packets (trust cases 3 and 4).

mod network;

use std::fs;

use self::network::Network;

/// Cloudflare's, in both families.
const CLOUDFLARE: [&str; 2] = ["104.16.0.5", "2606:4700::5"];
/// Anybody's.
const ELSEWHERE: [&str; 2] = ["203.0.113.7", "2001:db8:f::7"];
/// In the private network.
const PRIVATE: [&str; 1] = ["100.64.0.7"];

/// From each of these addresses just these ports answer, of all that the server listens on.
fn assert_open(network: &Network, expected: &[(&[&str], &[u16])]) {
    let expected: Vec<(&str, &[u16])> =
        expected.iter().flat_map(|(addresses, ports)| addresses.iter().map(|address| (*address, *ports))).collect();
    let addresses: Vec<_> = expected.iter().map(|(address, _)| *address).collect();
    let open = network.open(&addresses);
    let found: Vec<(&str, &[u16])> =
        addresses.iter().zip(&open).map(|(address, ports)| (*address, &ports[..])).collect();
    assert_eq!(found, expected);
}

#[test]
fn packets_pass_or_are_dropped() {
    let Some(network) = Network::new() else { return };

    // The example: a `direct` site, and SSH from anywhere until the private network works.
    network.load().expect("the example is loaded");
    assert_open(&network, &[(&CLOUDFLARE, &[22, 80, 443]), (&ELSEWHERE, &[22, 80, 443])]);

    // Sites behind Cloudflare only, SSH by the private network only.
    network.write_site("add element inet site private { \"priv0\" }\n");
    network.load().expect("a stricter one is loaded");
    assert_open(&network, &[(&CLOUDFLARE, &[443]), (&ELSEWHERE, &[]), (&PRIVATE, &[22])]);
    // What it asks for itself comes in, and pings are answered.
    assert!(network.server("ping -c 1 -W 5 203.0.113.7 && ping -c 1 -W 5 2001:db8:f::7").0);
    assert!(network.client("ping -c 1 -W 5 -I 203.0.113.7 198.51.100.1").0);
    assert!(network.server("nft list table inet site").1.contains("comment \"dropped\""));

    // SSH from one address, where there is no private network.
    network.write_site("add element inet site ssh4 { 203.0.113.0/24 }\n");
    network.load().expect("SSH from one network");
    assert_open(&network, &[(&["203.0.113.7"], &[22]), (&["2001:db8:f::7"], &[]), (&["104.16.0.5"], &[443])]);

    // A connection that is open stays open over a reload of the rules.
    assert!(network.stays_open_over("203.0.113.7", 22, || network.load().map(drop)), "the connection broke");
    the_last_good_list_stays(&network);
}

/// A list that is not one changes nothing, neither what is loaded nor the files for the next boot.
fn the_last_good_list_stays(network: &Network) {
    network.write_site("");
    network.load().expect("good");
    let ranges = network.folder().join("cloudflare-ranges.txt");
    let list = network.folder().join("cloudflare.nft");
    let good = fs::read_to_string(&ranges).unwrap();
    let (loaded, written) = (network.server("nft list ruleset").1, fs::read_to_string(&list).unwrap());
    for (bad, complaint) in [
        (String::new(), "lacks the addresses of one family"),
        ("<html>502</html>\n".to_owned(), "'<html>502</html>', which is no address range"),
        (format!("{good}0.0.0.0/0\n"), "0.0.0.0/0, which is wider than any of Cloudflare's"),
        (format!("{good}::/0\n"), "::/0, which is wider"),
        (format!("{good}104.16.0.0/13 }}; flush ruleset; #\n"), "which is no address range"),
        (format!("{good}300.1.2.0/24\n"), "nft does not take them"),
        (
            good.lines().filter(|line| !line.contains(':')).collect::<Vec<_>>().join("\n"),
            "lacks the addresses of one family",
        ),
    ] {
        fs::write(&ranges, &bad).unwrap();
        let said = network.load().expect_err("a bad list is loaded");
        assert!(said.contains(complaint) && said.contains("The rules stay as they are"), "{bad}: {said}");
        assert_eq!(fs::read_to_string(&list).unwrap(), written, "{bad}");
        assert_eq!(strip_counters(&network.server("nft list ruleset").1), strip_counters(&loaded), "{bad}");
    }
    fs::write(&ranges, &good).unwrap();

    // The operator's own file is wrong: the same.
    network.write_site("add element inet site everyone { https, }}\n");
    let said = network.load().expect_err("a bad site.nft is loaded");
    assert!(said.contains("site.nft") && said.contains("The rules stay as they are"), "{said}");
    assert_eq!(strip_counters(&network.server("nft list ruleset").1), strip_counters(&loaded));
    network.write_site("");

    // Nobody answers at Cloudflare; then there is a new range.
    let said =
        network.refresh("echo 'origin ranges: Cloudflare can not be asked' >&2; exit 1").expect_err("nobody answers");
    assert!(said.contains("the list of Cloudflare's addresses is still that of 20"), "{said}");
    assert_eq!(strip_counters(&network.server("nft list ruleset").1), strip_counters(&loaded));
    let said = network.refresh("echo '203.0.113.0/24' >>\"$3\"").expect("a new list");
    assert!(said.contains("23 ranges of 20") && said.contains("open to everyone: nothing"), "{said}");
    assert_open(network, &[(&["203.0.113.7"], &[443]), (&["2001:db8:f::7"], &[])]);
}

fn strip_counters(rules: &str) -> String {
    rules.lines().filter(|line| !line.contains("counter packets")).collect::<Vec<_>>().join("\n")
}
