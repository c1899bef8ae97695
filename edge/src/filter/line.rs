//! Rules, a line each: how the Worker gets them, which carries no parser of TOML, and how those are told that hold for a while.
//!
//! ```text
//! filter block=probe,traversal,agent,sqli
//! site host=makenot.work off=/git/ block=xss form=/login
//! rule old-api block:410 path=/api/v1/*
//! rule flood block:403 dry-run address=203.0.113.0/24 page=Ask%20us.
//! route uploads path=/upload/* method=POST size=1048576
//! ```
//!
//! A line is its kind, for a rule and a route the name, for a rule the action, and then what is said of it as `key=value` with commas in
//! between. What would be read as something else is escaped with percent signs.

use core::fmt::{self, Write as _};

use contract::Country;

use super::pattern::Pattern;
use super::ranges::Ranges;
use super::rule::{Action, Rule, When};
use super::ruleset::{OfSite, Route, Ruleset};
use super::{Class, Classes};

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("filter")?;
        classes(f, self.block)?;
        if self.log_only {
            f.write_str(" log-only")?;
        }
        f.write_char('\n')?;
        for site in self.sites.iter() {
            f.write_str("site")?;
            list(f, "host", site.hosts.iter())?;
            list(f, "path", site.paths.iter())?;
            list(f, "off", site.off.iter())?;
            classes(f, site.block)?;
            list(f, "form", site.forms.iter())?;
            f.write_char('\n')?;
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))?;
        for route in self.routes.iter() {
            write!(f, "route {}", route.name)?;
            list(f, "path", route.paths.iter())?;
            list(f, "method", route.methods.iter())?;
            if let Some(size) = route.size {
                write!(f, " size={size}")?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} {}", self.name, self.action.as_str())?;
        match &self.action {
            Action::Block { status, .. } => write!(f, ":{status}")?,
            Action::Limit(text) | Action::Redirect(text) => write!(f, ":{}", Escaped(text))?,
            Action::Challenge | Action::Log | Action::BypassCache => {}
        }
        if self.dry_run {
            f.write_str(" dry-run")?;
        }
        let when = &self.when;
        list(f, "path", when.paths.iter())?;
        list(f, "method", when.methods.iter())?;
        list(f, "host", when.hosts.iter())?;
        list(f, "country", when.countries.iter())?;
        list(f, "asn", when.asns.iter())?;
        list(f, "address", when.addresses.texts())?;
        list(f, "agent", when.agents.iter())?;
        pairs(f, "field", &when.fields)?;
        pairs(f, "query", &when.query)?;
        match &self.action {
            Action::Block { page: Some(page), .. } => list(f, "page", [page]),
            _ => Ok(()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, key: &str, values: impl IntoIterator<Item = impl ToString>) -> fmt::Result {
    for (n, value) in values.into_iter().enumerate() {
        if n == 0 {
            write!(f, " {key}=")?;
        } else {
            f.write_char(',')?;
        }
        write!(f, "{}", Escaped(&value.to_string()))?;
    }
    Ok(())
}

fn pairs(f: &mut fmt::Formatter<'_>, key: &str, pairs: &[(Box<str>, Pattern)]) -> fmt::Result {
    for (n, (name, value)) in pairs.iter().enumerate() {
        if n == 0 {
            write!(f, " {key}=")?;
        } else {
            f.write_char(',')?;
        }
        write!(f, "{}:{}", Escaped(name), Escaped(&value.to_string()))?;
    }
    Ok(())
}

fn classes(f: &mut fmt::Formatter<'_>, classes: Classes) -> fmt::Result {
    list(f, "block", Class::ALL.iter().filter(|class| classes.has(**class)).map(|class| class.as_str()))
}

/// A text without what separates.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b',' | b'=' | b':' | b'%' | 0..=b' ' | 0x7f.. => write!(f, "%{byte:02x}")?,
                byte => f.write_char(char::from(byte))?,
            }
        }
        Ok(())
    }
}

/// A text of which some bytes are escaped.
pub(crate) fn plain(text: &str) -> Option<Box<str>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(if byte == b'%' { digit(bytes.next())? << 4 | digit(bytes.next())? } else { byte });
    }
    String::from_utf8(out).ok().map(Into::into)
}

/// Why lines are no rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: Box<str>,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for LineError {}

impl Ruleset {
    /// Reads lines.
    ///
    /// # Errors
    /// With the first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let mut all = Self::default();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            all.read(line).map_err(|what| LineError { line: n + 1, what: what.into() })?;
        }
        Ok(all)
    }

    fn read(&mut self, line: &str) -> Result<(), String> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "filter" => {
                for said in Said::all(rest) {
                    match said? {
                        Said { key: "block", value } => self.block = self.block.or(read_classes(value)?),
                        Said { key: "log-only", .. } => self.log_only = true,
                        other => return Err(other.unknown()),
                    }
                }
            }
            "site" => {
                let mut site = OfSite::default();
                for said in Said::all(rest) {
                    let said = said?;
                    match said.key {
                        "host" => site.hosts = said.patterns()?,
                        "path" => site.paths = said.texts()?,
                        "off" => site.off = said.texts()?,
                        "block" => site.block = read_classes(said.value)?,
                        "form" => site.forms = said.texts()?,
                        _ => return Err(said.unknown()),
                    }
                }
                self.sites.push(site);
            }
            "rule" => self.rules.push(read_rule(rest)?),
            "route" => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let mut route = Route { name: read_name(name)?, ..Route::default() };
                for said in Said::all(rest) {
                    let said = said?;
                    match said.key {
                        "path" => route.paths = said.patterns()?,
                        "method" => route.methods = said.texts()?,
                        "size" => route.size = Some(said.value.parse().map_err(|_| said.wrong())?),
                        _ => return Err(said.unknown()),
                    }
                }
                self.routes.push(route);
            }
            _ => return Err(format!("begins with `{kind}`: a line is one of filter, site, rule, route")),
        }
        Ok(())
    }
}

impl Rule {
    /// Reads a rule's line.
    ///
    /// # Errors
    /// What of it is not understood.
    pub fn parse(line: &str) -> Result<Self, String> {
        read_rule(line.strip_prefix("rule ").ok_or("a rule begins with `rule `")?)
    }
}

fn read_rule(text: &str) -> Result<Rule, String> {
    let (name, rest) = text.split_once(' ').ok_or("a rule has a name and an action")?;
    let (action, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (word, argument) = action.split_once(':').unwrap_or((action, ""));
    let argument = plain(argument).ok_or("the action is escaped wrongly")?;
    let mut action = match word {
        "block" => Action::Block {
            status: argument.parse().ok().filter(is_refusal).ok_or("block has a status from 400 to 599")?,
            page: None,
        },
        "challenge" => Action::Challenge,
        "limit" if is_name(&argument) => Action::Limit(argument),
        "log" => Action::Log,
        "bypass-cache" => Action::BypassCache,
        "redirect" if is_within_host(&argument) => Action::Redirect(argument),
        _ => return Err(format!("`{word}` with `{argument}` is no action")),
    };
    let (mut when, mut dry_run) = (When::default(), false);
    for said in Said::all(rest) {
        let said = said?;
        match said.key {
            "dry-run" => dry_run = true,
            "path" => when.paths = said.patterns()?,
            "method" => when.methods = said.texts()?,
            "host" => when.hosts = said.patterns()?,
            "country" => {
                when.countries = said
                    .texts()?
                    .iter()
                    .map(|code| Country::parse(code))
                    .collect::<Option<_>>()
                    .ok_or_else(|| said.wrong())?;
            }
            "asn" => {
                when.asns =
                    said.texts()?.iter().map(|asn| asn.parse().map_err(|_| said.wrong())).collect::<Result<_, _>>()?
            }
            "address" => when.addresses = Ranges::parse(said.texts()?.iter().map(|text| &**text))?,
            "agent" => when.agents = said.patterns()?,
            "field" => when.fields = said.pairs()?,
            "query" => when.query = said.pairs()?,
            "page" => match &mut action {
                Action::Block { page, .. } => *page = Some(plain(said.value).ok_or_else(|| said.wrong())?),
                _ => return Err("only block has a page".into()),
            },
            _ => return Err(said.unknown()),
        }
    }
    Ok(Rule { name: read_name(name)?, when, action, dry_run })
}

fn read_name(name: &str) -> Result<Box<str>, String> {
    if is_name(name) { Ok(name.into()) } else { Err(format!("`{name}` is no name: {NAME}")) }
}

/// What a name is.
pub const NAME: &str = "write 1 to 48 of a to z, 0 to 9 and -";

/// Whether a rule, a route or a limit may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=48).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a status says that a request was refused.
#[must_use]
pub const fn is_refusal(status: &u16) -> bool {
    matches!(status, 400..=599)
}

/// Whether a redirect stays on its host: no program reads it as another's address.
#[must_use]
pub fn is_within_host(to: &str) -> bool {
    to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\')
}

fn read_classes(value: &str) -> Result<Classes, String> {
    let class = |name| Class::parse(name).ok_or_else(|| format!("`{name}` is no class"));
    value.split(',').try_fold(Classes::NONE, |all, name| Ok(all.with(class(name)?)))
}

/// What is said of a line's thing.
struct Said<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Said<'a> {
    fn all(text: &'a str) -> impl Iterator<Item = Result<Self, String>> {
        text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
            Some((_, "")) => Err(format!("`{word}` says nothing")),
            Some((key, value)) => Ok(Self { key, value }),
            None if matches!(word, "dry-run" | "log-only") => Ok(Self { key: word, value: "" }),
            None => Err(format!("`{word}` is not understood")),
        })
    }

    fn unknown(&self) -> String {
        format!("`{}` is not known here", self.key)
    }

    fn wrong(&self) -> String {
        format!("`{}={}` is wrong", self.key, self.value)
    }

    fn texts(&self) -> Result<Vec<Box<str>>, String> {
        self.value.split(',').map(|value| plain(value).ok_or_else(|| self.wrong())).collect()
    }

    fn patterns(&self) -> Result<Vec<Pattern>, String> {
        Ok(self.texts()?.iter().map(|text| Pattern::new(text)).collect())
    }

    fn pairs(&self) -> Result<Vec<(Box<str>, Pattern)>, String> {
        let pair = |text: &str| {
            let (name, value) = text.split_once(':')?;
            Some((plain(name)?, Pattern::new(&plain(value)?)))
        };
        self.value.split(',').map(|text| pair(text).ok_or_else(|| self.wrong())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ruleset::Ruleset;
    use proptest::prelude::*;

    const ALL: &str = "\
filter block=probe,traversal,agent log-only
site host=makenot.work,*.makenot.work path=/shop off=/git/ block=sqli form=/login,/a%20b
site host=*
rule old block:410 path=/api/v1/*,/x method=GET,POST host=*.a country=DE,T1 asn=1,64496 address=203.0.113.0/24 agent=*Bad%20Bot* field=x-a:*%2c* query=debug:1 page=Gone%2c%20for%20good.
rule slow limit:sign-in dry-run path=/login
rule seen log path=/*
rule asked challenge dry-run path=/x
rule fresh bypass-cache query=preview:*
rule moved redirect:/new?a%3d1 path=/old
route uploads path=/upload/* method=POST,PUT size=1048576
";

    #[test]
    fn is_read_as_it_is_written() {
        let all = Ruleset::parse(ALL).unwrap();
        assert_eq!(all.to_string(), ALL);
        assert_eq!((all.rules.len(), all.routes.len(), all.sites.len()), (6, 1, 2));
    }

    #[test]
    fn says_where_it_is_wrong() {
        for (line, what) in [
            ("rules", "begins with"),
            ("rule a", "a rule has a name and an action"),
            ("rule A log", "`A` is no name"),
            ("rule a block", "a status"),
            ("rule a block:200", "a status"),
            ("rule a redirect://evil.example/", "no action"),
            ("rule a redirect:/%5cevil.example/", "no action"),
            ("rule a limit:", "no action"),
            ("rule a log path=", "says nothing"),
            ("rule a log x=1", "`x` is not known"),
            ("rule a log address=1.2.3", "range of addresses"),
            ("rule a log page=x", "only block has a page"),
            ("filter block=sql", "`sql` is no class"),
            ("route a size=big", "`size=big` is wrong"),
        ] {
            let error = Ruleset::parse(&format!("filter\n{line}\n")).unwrap_err();
            assert!(error.line == 2 && error.what.contains(what), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn reads_anything(text in "((rule|route|site|filter| |[a-z]{1,3}|block:403|log|path=|,|=|:|%[0-9a-f]{2}|\\*|\n|\\PC){0,30})") {
            if let Ok(all) = Ruleset::parse(&text) {
                prop_assert_eq!(Ruleset::parse(&all.to_string()), Ok(all));
            }
        }
    }
}
