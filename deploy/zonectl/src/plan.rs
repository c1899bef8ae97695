//! What differs between the file and the zone, and the calls that would make it the same.

use std::fmt;

use reqwest::Method;
use serde_json::Value;

use crate::api::Api;
use crate::file::Wanted;
use crate::parts;
use crate::zone::Zone;

/// One difference that can be made to go.
#[derive(Debug)]
pub(crate) struct Change {
    pub sign: Sign,
    /// Which part of the zone.
    pub part: &'static str,
    /// What it is, and what it would be.
    pub what: String,
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Add,
    Alter,
    Remove,
}

/// All differences, in the order in which they may be made.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Vec<Change>,
    /// What the zone has, the file has not, and stays.
    pub kept: Vec<String>,
    /// Differences that an `apply` like this would not make, and why.
    pub held: Vec<String>,
}

/// How to look.
#[derive(Debug, Default)]
pub(crate) struct How {
    /// What the file has not goes, also where it was not made here.
    pub prune: bool,
    /// The authorities that the gateway trusts: what it has as `tls.client_ca`.
    pub trusted: Option<String>,
}

impl Plan {
    /// Looks at everything that the file has a section for. The order is that in which changes do no harm: encryption and what must not be cached or
    /// rewritten before what brings visitors; exceptions before what they are excepted from; addresses last.
    pub(crate) fn of(api: &Api, zone: &Zone, wanted: &Wanted, how: &How) -> Result<Self, String> {
        let mut plan = Self::default();
        parts::settings::survey(api, zone, wanted, &mut plan)?;
        parts::single::survey(api, zone, wanted, &mut plan)?;
        parts::rules::survey(api, zone, wanted, how, &mut plan)?;
        parts::pulls::survey(api, zone, wanted, how, &mut plan)?;
        parts::routes::survey(api, zone, wanted, how, &mut plan)?;
        parts::dns::survey(api, zone, wanted, how, &mut plan)?;
        parts::dnssec::survey(api, zone, wanted, &mut plan)?;
        Ok(plan)
    }

    /// Whether the zone is as the file wants it.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.held.is_empty()
    }

    /// Its lines, without their number.
    pub(crate) fn lines(&self) -> String {
        let changes = self.changes.iter().map(|change| format!("{change}\n"));
        let held = self.held.iter().map(|what| format!("! {what}\n"));
        let kept = self.kept.iter().map(|what| format!("= {what}\n"));
        changes.chain(held).chain(kept).collect()
    }

    /// Makes the changes one after the other, and stops at the first that is refused: the error says what the API said.
    pub(crate) fn apply(&self, api: &Api) -> Result<(), String> {
        for (done, change) in self.changes.iter().enumerate() {
            api.call(&change.method, &change.path, change.body.as_ref()).map_err(|error| {
                let all = self.changes.len();
                format!("{change}\n{error}\n{done} of {all} changes are made; the same command again goes on here")
            })?;
            println!("{change}");
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Sign::Add => '+',
            Sign::Alter => '~',
            Sign::Remove => '-',
        };
        write!(f, "{sign} {:<14} {}", self.part, self.what)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines())?;
        match self.changes.len() + self.held.len() {
            0 => f.write_str("the zone is as the file wants it"),
            1 => f.write_str("1 difference"),
            n => write!(f, "{n} differences"),
        }
    }
}
