//! What the zone is to be: `zone.toml`, and the files that it names. A section that is not there is not looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::master;
use crate::record::Record;

/// The file, read whole.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub zone: String,
    pub records: Option<Vec<Record>>,
    pub settings: Map<String, Value>,
    pub url_normalization: Option<Map<String, Value>>,
    pub bots: Option<Map<String, Value>>,
    pub dnssec: Option<bool>,
    pub origin_pulls: Option<bool>,
    pub routes: Option<Vec<Route>>,
    /// By phase.
    pub rules: BTreeMap<String, Vec<Map<String, Value>>>,
    pub origin_certificate: Option<OriginCertificate>,
}

/// Which requests run a Worker, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub pattern: String,
    pub script: Option<String>,
    pub fail_open: bool,
}

/// What the certificate of the server is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OriginCertificate {
    pub hostnames: Vec<String>,
    pub days: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    zone: String,
    dns: Option<Dns>,
    #[serde(default)]
    settings: Map<String, Value>,
    url_normalization: Option<Map<String, Value>>,
    bots: Option<Map<String, Value>>,
    dnssec: Option<Switch>,
    origin_pulls: Option<Switch>,
    routes: Option<Routes>,
    #[serde(default)]
    rules: BTreeMap<String, Rules>,
    origin_certificate: Option<OriginCertificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dns {
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Routes {
    /// The Worker's own file, which says where it runs.
    wrangler: Option<PathBuf>,
    /// Those that show an error when their Worker can't run; all others fail open.
    #[serde(default)]
    fail_closed: Vec<String>,
    #[serde(default)]
    without_worker: Vec<String>,
    /// As an export writes them.
    #[serde(default)]
    with_worker: BTreeMap<String, Vec<String>>,
}

/// Rules as they are, or the name of a JSON file that has them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    File(PathBuf),
    Written(Vec<Map<String, Value>>),
}

#[derive(Deserialize)]
struct RulesFile {
    rules: Vec<Map<String, Value>>,
}

/// Of wrangler.toml, what concerns the zone.
#[derive(Deserialize)]
struct Wrangler {
    name: String,
    #[serde(default)]
    routes: Vec<WranglerRoute>,
    #[serde(default)]
    env: BTreeMap<String, WranglerEnvironment>,
}

#[derive(Deserialize)]
struct WranglerEnvironment {
    name: Option<String>,
    #[serde(default)]
    routes: Vec<WranglerRoute>,
}

#[derive(Deserialize)]
struct WranglerRoute {
    pattern: String,
    zone_name: String,
    #[serde(default)]
    custom_domain: bool,
}

/// Cloudflare's word for what rules are: a key of `[rules]`. Limits are those of the free plan, as documented in 2026.
pub(crate) const PHASES: [(&str, usize); 9] = [
    ("http_config_settings", 10),
    ("http_ratelimit", 1),
    ("http_request_cache_settings", 10),
    ("http_request_dynamic_redirect", 10),
    ("http_request_firewall_custom", 5),
    ("http_request_late_transform", 10),
    ("http_request_origin", 10),
    ("http_request_transform", 10),
    ("http_response_headers_transform", 10),
];

/// What an expression may have (documented for every plan).
const MOST_CHARACTERS: usize = 4_096;

impl Wanted {
    /// Reads the file and those that it names, relative to itself. The error says which one is wrong, and where.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = content(path)?;
        let within = |what: String| format!("{}: {what}", path.display());
        let written: Written = toml::from_str(&text).map_err(|e| within(e.to_string()))?;
        let zone = crate::record::plain(&written.zone);
        let beside = |file: &Path| path.parent().map_or_else(|| file.to_owned(), |folder| folder.join(file));

        let records = written.dns.map(|dns| {
            let file = beside(&dns.file);
            master::read(&zone, &content(&file)?).map_err(|e| format!("{}: {e}", file.display()))
        });
        let routes = written.routes.map(|routes| {
            let wrangler = routes.wrangler.as_deref().map(beside);
            routes.of(&zone, wrangler.as_deref())
        });
        let mut rules = BTreeMap::new();
        for (phase, of) in written.rules {
            let known = PHASES.iter().find(|(name, _)| *name == phase);
            let (_, most) = known.ok_or_else(|| {
                let names: Vec<_> = PHASES.iter().map(|(name, _)| *name).collect();
                within(format!("rules.{phase}: there is no such phase; there are {}", names.join(", ")))
            })?;
            let of = match of {
                Rules::Written(rules) => rules,
                Rules::File(file) => {
                    let file = beside(&file);
                    let read: RulesFile =
                        serde_json::from_str(&content(&file)?).map_err(|e| format!("{}: {e}", file.display()))?;
                    read.rules
                }
            };
            check_rules(&of, *most).map_err(|e| within(format!("rules.{phase}: {e}")))?;
            rules.insert(phase, of);
        }
        Ok(Self {
            records: records.transpose()?,
            settings: written.settings,
            url_normalization: written.url_normalization,
            bots: written.bots,
            dnssec: written.dnssec.map(|it| it.enabled),
            origin_pulls: written.origin_pulls.map(|it| it.enabled),
            routes: routes.transpose()?,
            rules,
            origin_certificate: written.origin_certificate,
            zone,
        })
    }
}

impl Routes {
    fn of(self, zone: &str, wrangler: Option<&Path>) -> Result<Vec<Route>, String> {
        // Those without a Worker are first: they must be there before one that covers them.
        let bare = |pattern| Route { pattern, script: None, fail_open: false };
        let mut all: Vec<Route> = self.without_worker.into_iter().map(bare).collect();
        let mut with = self.with_worker;
        if let Some(path) = wrangler {
            let read: Wrangler = toml::from_str(&content(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
            let environments = read.env.into_iter().map(|(key, of)| {
                let name = of.name.unwrap_or_else(|| format!("{}-{key}", read.name));
                (name, of.routes)
            });
            let mut some = false;
            for (script, routes) in std::iter::once((read.name.clone(), read.routes)).chain(environments) {
                for route in routes.into_iter().filter(|route| route.zone_name == zone) {
                    if route.custom_domain {
                        let what = "is a Custom Domain, which leaves no server to fail open to: make it a Route";
                        return Err(format!("{}: {} {what}", path.display(), route.pattern));
                    }
                    with.entry(script.clone()).or_default().push(route.pattern);
                    some = true;
                }
            }
            if !some {
                return Err(format!("{} has no route whose zone_name is {zone}", path.display()));
            }
        }
        for (script, patterns) in with {
            all.extend(patterns.into_iter().map(|pattern| Route {
                fail_open: !self.fail_closed.contains(&pattern),
                script: Some(script.clone()),
                pattern,
            }));
        }
        let runs = |pattern: &String| all.iter().any(|route| route.script.is_some() && route.pattern == *pattern);
        if let Some(pattern) = self.fail_closed.iter().find(|pattern| !runs(pattern)) {
            return Err(format!("routes.fail_closed: no Worker runs on {pattern}"));
        }
        let mut seen: Vec<&str> = Vec::new();
        for route in &all {
            if seen.contains(&route.pattern.as_str()) {
                return Err(format!("there are two routes {}", route.pattern));
            }
            seen.push(&route.pattern);
        }
        Ok(all)
    }
}

fn check_rules(rules: &[Map<String, Value>], most: usize) -> Result<(), String> {
    if rules.len() > most {
        return Err(format!("there are {} rules; the free plan has {most}", rules.len()));
    }
    let mut seen: Vec<&str> = Vec::new();
    for rule in rules {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(description) = text("description") else {
            return Err("a rule has no `description`, by which it is known".to_owned());
        };
        if seen.contains(&description) {
            return Err(format!("two rules have the description \"{description}\", by which they are known"));
        }
        seen.push(description);
        if text("action").is_none() {
            return Err(format!("\"{description}\" has no `action`"));
        }
        let length = text("expression").map_or(0, |text| text.chars().count());
        if length == 0 || length > MOST_CHARACTERS {
            return Err(format!(
                "\"{description}\": its `expression` has {length} characters; it may have {MOST_CHARACTERS}"
            ));
        }
    }
    Ok(())
}

/// A file's text.
pub(crate) fn content(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
}
