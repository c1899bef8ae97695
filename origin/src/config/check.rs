//! What serde can't know: whether the parts fit together. Every fault is found, not only the first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use contract::signature::{Keys, Window};
use contract::target::{DEFAULT_MAX_LEN, Target};
use ipnet::IpNet;

use super::section::{Admin, AdminSection, Edge, EdgeSection, File, Limits, Listen, ListenSection, Storage, Timeouts};
use super::site::{HostPattern, KeyPair, Site, SiteSection, Trust};
use super::token::Token;
use super::value::{AdminAddress, net};
use super::{
    Bucket, Config, Fault, Rate, UploadRoute, Webhook, Written, acme, app, bucket, cloudflare, filter, headers, health,
    log, peer, probe, rate, timing, traces, turnstile, upload, webhook,
};

/// The longest path of a Unix socket, in bytes (sockaddr_un of unix(7), less the closing zero).
const SOCKET_PATH: usize = 107;

/// The widest networks of balancers, in bits of their prefix: private ones are no wider.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

pub(super) fn check(file: File) -> Result<Config, Vec<Fault>> {
    let mut faults = Vec::new();
    let listen = listen(file.listen, file.tls.is_some(), &mut faults);
    if let Some(tls) = &file.tls {
        for (key, path) in
            [("tls.cert", Some(&tls.cert)), ("tls.key", Some(&tls.key)), ("tls.client_ca", tls.client_ca.as_ref())]
        {
            if let Some(path) = path {
                readable(key, path, &mut faults);
            }
        }
    }
    let admin = file.admin.and_then(|section| admin(section, &mut faults));
    limits("limits", &file.limits, &mut faults);
    if file.cache.object.0 > file.cache.size.0 {
        faults.push(Fault::new("cache.object", "is larger than cache.size: one object must fit into the cache"));
    }
    let cloudflare = file.cloudflare.and_then(|section| cloudflare::check(section, &mut faults));
    let edge = file.edge.and_then(|e| edge(e, &mut faults));
    let turnstile = file.turnstile.and_then(|section| turnstile::check(section, edge.is_some(), &mut faults));
    let client_ca = file.tls.as_ref().is_some_and(|t| t.client_ca.is_some());
    let given = Given {
        tls: file.tls.is_some(),
        client_ca,
        keys: edge.is_some(),
        limits: &file.limits,
        timeouts: &file.timeouts,
    };
    let headers = file.headers.as_ref().map(|section| headers::check(section, &mut faults));
    let rules = filter::check(file.filter.as_ref(), &file.site, &mut faults);
    let sites = sites(file.site, &given, &mut faults);
    let acme = acme::check(file.acme, &mut faults).filter(|_| sites.iter().any(|site| site.acme_ask.is_some()));
    let mut rates: Vec<Rate> =
        file.rate.into_iter().filter_map(|(name, r)| rate::check(&name, r, &mut faults)).collect();
    filter::name_limits(rules.as_ref(), &mut rates, &mut faults);
    let webhooks: Vec<Webhook> =
        file.webhook.into_iter().filter_map(|(name, w)| webhook::check(&name, w, &mut faults)).collect();
    for (n, one) in webhooks.iter().enumerate() {
        if let Some(other) = webhooks.iter().take(n).find(|other| other.path == one.path) {
            let what = format!("is {}'s, too: each sender has a path of its own", other.name);
            faults.push(Fault::new(format!("webhook.{}.path", one.name), what));
        }
    }
    let uploads: Vec<UploadRoute> =
        file.upload.into_iter().filter_map(|(name, u)| upload::check(&name, u, &mut faults)).collect();
    upload::apart(&uploads, &mut faults);
    let log = file.log.and_then(|section| log::check(&section, &mut faults));
    let traces = file.traces.and_then(|section| traces::check(section, &mut faults));
    let timing = file.timing.and_then(|section| timing::check(&section, &mut faults));
    storage(&file.storage, &mut faults);
    let buckets: Vec<Bucket> =
        file.bucket.into_iter().filter_map(|(role, b)| bucket::check(&role, b, &sites, &mut faults)).collect();
    let health = file.health.and_then(|section| health::check(section, file.state.as_ref(), &mut faults));
    let around = probe::Around { sites: &sites, buckets: &buckets, tls: file.tls.is_some() };
    let peer = peer::check(file.peer, admin.as_ref(), file.state.as_ref(), &mut faults);
    let probes = probe::check_all(file.probe, &around, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Config {
        listen,
        tls: file.tls,
        edge,
        acme,
        admin,
        cloudflare,
        health,
        probes,
        filter: rules.map(Arc::new),
        turnstile,
        headers,
        peer,
        state: file.state,
        cache: file.cache,
        compress: file.compress,
        log,
        traces,
        timing,
        rates,
        webhooks,
        uploads,
        limits: file.limits,
        timeouts: file.timeouts,
        sites,
        buckets,
        storage: file.storage,
        written: Written::default(),
    })
}

fn listen(section: ListenSection, tls: bool, faults: &mut Vec<Fault>) -> Listen {
    let https = match section.https {
        Some(addresses) if !addresses.is_empty() && !tls => {
            faults.push(Fault::new("listen.https", "needs a [tls] section with cert and key"));
            addresses
        }
        Some(addresses) => addresses,
        None if tls => vec![SocketAddr::from(([0u16; 8], 443))],
        None => Vec::new(),
    };
    for (n, address) in section.http.iter().enumerate() {
        loopback(&format!("listen.http[{n}]"), *address, faults);
    }
    if let Some(path) = &section.unix
        && (!path.is_absolute() || path.as_os_str().len() > SOCKET_PATH)
    {
        faults.push(Fault::new(
            "listen.unix",
            format!(
                "`{}` is not where a socket can be: write a path of at most {SOCKET_PATH} bytes that begins with /, as in \"/run/origin/origin.sock\"",
                path.display()
            ),
        ));
    }
    if https.is_empty() && section.http.is_empty() && section.unix.is_none() {
        faults.push(Fault::new(
            "listen",
            "nothing to listen on: add a [tls] section (then the default is port 443), or listen.http = [\"127.0.0.1:8080\"] for clear text on loopback",
        ));
    }
    let cores = section.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if !(1..=256).contains(&cores) {
        faults.push(Fault::new(
            "listen.cores",
            format!("{cores} is out of range: write 1 to 256, or leave it out for all cores"),
        ));
    }
    if !section.redirect.is_empty() && https.is_empty() {
        faults
            .push(Fault::new("listen.redirect", "has nowhere to send clients: add a [tls] section, for listen.https"));
    }
    let balancers = balancers(&section.balancers, https.is_empty(), faults);
    Listen { https, http: section.http, redirect: section.redirect, unix: section.unix, balancers, cores }
}

/// Who may say whose connection it is: whoever is named here can be anybody to us.
fn balancers(texts: &[String], alone: bool, faults: &mut Vec<Fault>) -> Vec<IpNet> {
    if alone && !texts.is_empty() {
        faults
            .push(Fault::new("listen.balancers", "have nothing to pass on to: add a [tls] section, for listen.https"));
    }
    let mut nets = Vec::with_capacity(texts.len());
    for (n, text) in texts.iter().enumerate() {
        let mut fault = |what| faults.push(Fault::new(format!("listen.balancers[{n}]"), what));
        match net(text) {
            Some(net) if net.prefix_len() >= (if net.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 }) => {
                nets.push(net)
            }
            Some(_) => fault(format!(
                "`{text}` is far more than balancers have, and whoever has one of these addresses could claim any other: write the balancer's own, as in \"10.0.0.2\""
            )),
            None => fault(format!("`{text}` is no address: write \"10.0.0.2\", or \"10.0.0.0/24\" for many")),
        }
    }
    nets
}

fn storage(storage: &Storage, faults: &mut Vec<Fault>) {
    let Storage { at_once, rate, attempt, within } = storage;
    if !(1..=256).contains(at_once) {
        faults.push(Fault::new("storage.at_once", format!("{at_once} is out of range: write 1 to 256 calls")));
    }
    if *rate == 0 {
        faults.push(Fault::new("storage.rate", "0 is out of range: write at least 1 call a second, as in 500"));
    }
    if attempt.0 > within.0 {
        let what = "is longer than storage.within, which is for all tries of a call: write less, as in \"10s\"";
        faults.push(Fault::new("storage.attempt", what));
    }
}

pub(super) fn admin(section: AdminSection, faults: &mut Vec<Fault>) -> Option<Admin> {
    if let (AdminAddress::Tcp(address), None) = (&section.listen, &section.token_file)
        && !address.ip().is_loopback()
    {
        faults.push(Fault::new(
            "admin.listen",
            format!(
                "`{address}` can be reached from outside, where only who shows a token may ask: add admin.token_file, or write a loopback address, as in \"127.0.0.1:{}\", or a Unix socket, as in \"unix:/run/origin/admin.sock\"",
                address.port()
            ),
        ));
    }
    let mut read = |key: &str, file: Option<&Path>| {
        file.map(Token::read).transpose().map_err(|what| faults.push(Fault::new(format!("admin.{key}"), what))).ok()
    };
    let token = read("token_file", section.token_file.as_deref());
    let app_token = read("app_token_file", section.app_token_file.as_deref());
    let (token, app_token) = (token?, app_token?);
    if token.is_some() && token == app_token {
        let what = "holds the same token as `token_file`: the app's opens files and nothing else";
        faults.push(Fault::new("admin.app_token_file", what));
    }
    if !(1..=10_000).contains(&section.batch) {
        let what = format!("{} is out of range: write 1 to 10000 items, as in 1000", section.batch);
        faults.push(Fault::new("admin.batch", what));
    }
    if !(1 << 10..=64 << 20).contains(&section.body.0) {
        faults.push(Fault::new("admin.body", "is out of range: write 1 KiB to 64 MiB, as in \"2MiB\""));
    }
    Some(Admin { listen: section.listen, token, app_token, batch: section.batch, body: section.body.0 })
}

fn loopback(key: &str, address: SocketAddr, faults: &mut Vec<Fault>) {
    if !address.ip().is_loopback() {
        faults.push(Fault::new(
            key,
            format!(
                "`{address}` can be reached from outside: write a loopback address, as in \"127.0.0.1:{}\"",
                address.port()
            ),
        ));
    }
}

fn readable(key: &str, path: &Path, faults: &mut Vec<Fault>) {
    if let Err(e) = std::fs::File::open(path) {
        faults.push(Fault::new(key, format!("`{}` cannot be read: {e}", path.display())));
    }
}

fn limits(section: &str, limits: &Limits, faults: &mut Vec<Fault>) {
    for (key, value, range, said) in [
        ("head", limits.head.0, 8 << 10..=1 << 20, "8 KiB to 1 MiB, as in \"64KiB\""),
        ("target", limits.target.0, 256..=64 << 10, "256 B to 64 KiB, as in \"8KiB\""),
        ("body", limits.body.0, 1 << 10..=1 << 50, "1 KiB or more, as in \"1GiB\""),
        ("body_rate", limits.body_rate.0, 1..=1 << 30, "1 B or more a second, as in \"512B\""),
    ] {
        if !range.contains(&value) {
            let what = format!("{value} bytes is out of range: write {said}");
            faults.push(Fault::new(format!("{section}.{key}"), what));
        }
    }
    for (key, value, least) in [
        ("connections", limits.connections, 1),
        ("connections_per_client", limits.connections_per_client, 1),
        ("in_flight", limits.in_flight, 32),
        ("held", limits.held, 1),
        ("failures", limits.failures, 1),
    ] {
        if value < least {
            let what = format!("{value} is too few: write {least} or more");
            faults.push(Fault::new(format!("{section}.{key}"), what));
        }
    }
}

fn edge(section: EdgeSection, faults: &mut Vec<Fault>) -> Option<Edge> {
    let path = section.keys_file.display();
    let keys = match std::fs::read_to_string(&section.keys_file) {
        Err(e) => Err(format!("`{path}` cannot be read: {e}")),
        Ok(text) => Keys::parse(&text).map_err(|e| format!("`{path}`: {e}")),
    };
    let max_age = section.window.map_or(30, |s| s.0.as_secs());
    let skew = section.skew.map_or(5, |s| s.0.as_secs());
    if !(1..=300).contains(&max_age) {
        faults.push(Fault::new("edge.window", "is out of range: a signature lasts 1 s to 5 min, as in \"30s\""));
    }
    if skew > 60 {
        faults.push(Fault::new("edge.skew", "is out of range: clocks may differ by at most 1 min, as in \"5s\""));
    }
    match keys {
        Ok(keys) => Some(Edge { keys, window: Window { max_age, skew } }),
        Err(what) => {
            faults.push(Fault::new("edge.keys_file", what));
            None
        }
    }
}

/// What other sections give to sites.
struct Given<'a> {
    tls: bool,
    client_ca: bool,
    keys: bool,
    limits: &'a Limits,
    timeouts: &'a Timeouts,
}

fn sites(sections: Vec<SiteSection>, given: &Given<'_>, faults: &mut Vec<Fault>) -> Vec<Site> {
    if sections.is_empty() {
        faults.push(Fault::new("site", "there is none: add a [[site]] with hosts and app"));
    }
    let mut seen: HashMap<String, Vec<Claim>> = HashMap::new();
    let mut sites = Vec::with_capacity(sections.len());
    for (n, section) in sections.into_iter().enumerate() {
        let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("site[{n}].{key}"), what));
        if section.hosts.is_empty() {
            fault("hosts", "is empty: write at least one host, or \"*\" for all".to_owned());
        }
        for (m, path) in section.paths.iter().enumerate() {
            if let Err(what) = path_begins(path) {
                fault(&format!("paths[{m}]"), what);
            }
        }
        let mut hosts = Vec::with_capacity(section.hosts.len());
        for (m, host) in section.hosts.iter().enumerate() {
            let claim = Claim::of(&section);
            let claimed = HostPattern::parse(host).and_then(|pattern| {
                let others = seen.entry(host.to_ascii_lowercase()).or_default();
                claim.beside(host, others)?;
                others.push(claim);
                Ok(pattern)
            });
            match claimed {
                Ok(pattern) => hosts.push(pattern),
                Err(what) => fault(&format!("hosts[{m}]"), what),
            }
        }
        if section.trust.needs_certificate() && !given.client_ca {
            fault(
                "trust",
                format!(
                    "\"{}\" needs tls.client_ca, the authority of our zone's client certificates",
                    section.trust.as_str()
                ),
            );
        }
        if section.trust == Trust::EdgeOnly && !given.keys {
            fault("trust", "\"edge-only\" needs an [edge] section with keys_file".to_owned());
        }
        for (key, dir) in [("static", &section.assets), ("well_known", &section.well_known)] {
            if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir()) {
                fault(key, format!("`{}` is not a folder", dir.display()));
            }
        }
        let app = app::check(section.app, section.app_protocol, section.check, section.check_every, &mut fault);
        if !section.paths.is_empty() && (section.cert.is_some() || section.key.is_some()) {
            // The handshake comes before the path.
            fault("cert", "belongs to a site without paths: all sites of a host show the same certificate".to_owned());
        }
        let identity = match (section.cert, section.key) {
            (Some(cert), Some(key)) if given.tls => {
                readable(&format!("site[{n}].cert"), &cert, faults);
                readable(&format!("site[{n}].key"), &key, faults);
                Some(KeyPair { cert, key })
            }
            (Some(_), Some(_)) => {
                fault("cert", "needs a [tls] section, whose certificate all other hosts show".to_owned());
                None
            }
            (None, None) => None,
            (cert, _) => {
                let (there, missing) = if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
                fault(there, format!("needs {missing} beside it: a certificate and its private key go together"));
                None
            }
        };
        let asked = acme::Asked {
            tls: given.tls,
            certificate: identity.is_some(),
            paths: !section.paths.is_empty(),
            trust: section.trust,
        };
        let acme_ask = section.acme_ask.as_deref().and_then(|url| {
            asked.at(url).map_err(|what| faults.push(Fault::new(format!("site[{n}].acme_ask"), what))).ok()
        });
        let own = section.limits.over(given.limits);
        if own != *given.limits {
            limits(&format!("site[{n}].limits"), &own, faults);
        }
        sites.push(Site {
            hosts,
            paths: section.paths,
            app,
            trust: section.trust,
            assets: section.assets,
            well_known: section.well_known,
            identity,
            acme_ask,
            health: section.health,
            limits: own,
            timeouts: section.timeouts.over(given.timeouts),
        });
    }
    sites
}

/// Whether `path` may stand in `paths`: spelled as the path rule spells what is looked up there.
pub(super) fn path_begins(path: &str) -> Result<(), String> {
    let wanted = "write the beginning of a path, as in \"/git/\"";
    match Target::parse(path, DEFAULT_MAX_LEN) {
        Ok(target) if target.as_str() == path && target.query().is_none() && path != "/" => Ok(()),
        Ok(target) if target.query().is_none() && path != "/" && path.starts_with('/') => {
            Err(format!("`{path}` never comes: requests for it are looked up as `{}`", target.as_str()))
        }
        Ok(_) => Err(format!("`{path}` is not the beginning of a path: {wanted}, or leave paths out for all")),
        Err(_) => Err(format!("`{path}` is not the beginning of a path that is served: {wanted}")),
    }
}

/// What a site claims of a host.
#[derive(Clone)]
struct Claim {
    paths: Vec<String>,
    needs_certificate: bool,
}

impl Claim {
    fn of(section: &SiteSection) -> Self {
        Self { paths: section.paths.clone(), needs_certificate: section.trust.needs_certificate() }
    }

    /// Whether a host can be this site's and others'.
    fn beside(&self, host: &str, others: &[Self]) -> Result<(), String> {
        for other in others {
            if self.paths.is_empty() && other.paths.is_empty() {
                return Err(format!("`{host}` has a site already: each host belongs to one, or to several with paths"));
            }
            if let Some(path) = self.paths.iter().find(|path| other.paths.contains(path)) {
                return Err(format!("`{host}` has a site for `{path}` already"));
            }
            // What the handshake decides is decided before there is a path.
            if self.needs_certificate != other.needs_certificate {
                return Err(format!(
                    "`{host}` has sites of which one needs a client certificate and the other does not: the handshake comes before the path, so give both the same kind of trust"
                ));
            }
        }
        Ok(())
    }
}
