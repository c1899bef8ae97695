//! `zonectl worker off|on`: the switch. Off, no Route runs one of our Workers any more, and the gateway serves alone; on, Routes are as the file has
//! them. Nothing else of the zone is looked at.

use std::fmt;

use reqwest::Method;

use crate::api::Api;
use crate::file::{Route, Wanted};
use crate::parts::routes;
use crate::plan::{Change, How, Plan, Sign};
use crate::zone::Zone;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// No Route runs it; exceptions stay
    Off,
    /// Routes are as the file says
    On,
}

impl Switch {
    /// What is to be done.
    pub(crate) fn plan(self, api: &Api, zone: &Zone, wanted: &Wanted) -> Result<Plan, String> {
        let Some(routes) = &wanted.routes else {
            return Err("the file has no [routes], which says where the Worker runs".to_owned());
        };
        match self {
            Self::Off => off(api, zone, routes),
            Self::On => {
                let mut plan = Plan::default();
                routes::survey(api, zone, wanted, &How::default(), &mut plan)?;
                Ok(plan)
            }
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => {
                "no Route runs the Worker: the gateway serves alone. `worker on` brings it back, and so does `apply`"
            }
            Self::On => "Routes are as the file wants them",
        })
    }
}

/// Looks, shows, asks, and does it; then looks again.
pub(crate) fn turn(
    api: &Api,
    zone: &Zone,
    wanted: &Wanted,
    to: Switch,
    agree: impl Fn(&str) -> Result<(), String>,
) -> Result<(), String> {
    let plan = to.plan(api, zone, wanted)?;
    print!("{}", plan.lines());
    if !plan.changes.is_empty() {
        agree(&format!("Make {} change(s)?", plan.changes.len()))?;
        plan.apply(api)?;
        let left = to.plan(api, zone, wanted)?.changes;
        if let Some(change) = left.first() {
            return Err(format!("Cloudflare took it, and still: {change}"));
        }
    }
    println!("{to}");
    Ok(())
}

/// A Route that runs one of the file's Workers goes, whoever made it: each of them starts the Worker. Those of other Workers stay.
fn off(api: &Api, zone: &Zone, wanted: &[Route]) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let ours = |route: &Route| route.script.is_some() && wanted.iter().any(|of| of.script == route.script);
    for live in routes::live(api, zone)?.iter().filter(|live| live.route.script.is_some()) {
        let mut what = format!("{}: {}", live.route.pattern, routes::shown(&live.route));
        if !ours(&live.route) {
            plan.kept.push(format!("routes         {what}: is another Worker's"));
            continue;
        }
        if !wanted.iter().any(|of| of.pattern == live.route.pattern) {
            what.push_str(": is not in the file, so `worker on` does not bring it back");
        }
        plan.changes.push(Change {
            sign: Sign::Remove,
            part: "routes",
            what,
            method: Method::DELETE,
            path: zone.path(&format!("workers/routes/{}", live.id)),
            body: None,
        });
    }
    Ok(plan)
}
