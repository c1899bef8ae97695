//! `[dns]`: the records, compared with the zone file. What was made here bears a comment; nothing else is taken out without `--prune`.

use reqwest::Method;

use crate::api::Api;
use crate::file::Wanted;
use crate::plan::{Change, How, Plan, Sign};
use crate::record::{Data, MARK, Record};
use crate::zone::Zone;

struct Live {
    id: String,
    ours: bool,
    record: Record,
}

/// The zone's records, without the NS that it has by itself.
fn live(api: &Api, zone: &Zone) -> Result<Vec<Live>, String> {
    let mut all = Vec::new();
    for found in api.paged(&zone.path("dns_records")).map_err(|e| e.to_string())? {
        let record = Record::from_api(&found)?;
        let id = found["id"].as_str().unwrap_or_default().to_owned();
        if !(record.name == zone.name && record.data.kind() == "NS") {
            all.push(Live { id, ours: found["comment"] == MARK, record });
        }
    }
    Ok(all)
}

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, how: &How, plan: &mut Plan) -> Result<(), String> {
    let Some(wanted) = &wanted.records else { return Ok(()) };
    let mut live = live(api, zone)?;
    let path = zone.path("dns_records");
    let change = |sign, what: String, method, id: Option<&str>, body| {
        let path = id.map_or_else(|| path.clone(), |id| format!("{path}/{id}"));
        Change { sign, part: "dns", what, method, path, body }
    };
    let alter = |was: &Live, record: &Record| {
        let what = format!("{} → {}", was.record, difference(&was.record, record));
        change(Sign::Alter, what, Method::PATCH, Some(&was.id), Some(record.to_api()))
    };

    // Those with the same data first; then each that is left is paired with what it takes the place of.
    let (mut alters, mut left) = (Vec::new(), Vec::new());
    for record in wanted {
        let found = live.iter().position(|live| live.record.name == record.name && live.record.data == record.data);
        match found.map(|at| live.swap_remove(at)) {
            None => left.push(record),
            Some(found) if !found.record.same(record) => alters.push(alter(&found, record)),
            Some(_) => {}
        }
    }
    let mut adds = Vec::new();
    for record in left {
        // The same mail server with another priority is the same record.
        let same_target = |live: &Live| match (&record.data, &live.record.data) {
            (Data::Mx { target, .. }, Data::Mx { target: its, .. }) => record.name == live.record.name && target == its,
            _ => false,
        };
        let found = live.iter().position(same_target);
        match found.or_else(|| live.iter().position(|live| takes_place(record, live))).map(|at| live.swap_remove(at)) {
            Some(found) => alters.push(alter(&found, record)),
            None => adds.push(record),
        }
    }

    live.sort_by(|a, b| a.record.cmp(&b.record));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for surplus in &live {
        // A CNAME stands alone (RFC 1034 section 3.6.2).
        let in_the_way = adds.iter().find(|record| {
            record.name == surplus.record.name
                && is_cname(record) != is_cname(&surplus.record)
                && surplus.record.data.kind() != "NS"
        });
        let gone = || change(Sign::Remove, surplus.record.to_string(), Method::DELETE, Some(&surplus.id), None);
        match (in_the_way, surplus.ours || how.prune) {
            (Some(_), true) => first.push(gone()),
            (Some(record), false) => {
                let what = "was not made here; --prune takes it out";
                return Err(format!("{record} can't be made beside {}, which {what}", surplus.record));
            }
            (None, true) => last.push(gone()),
            (None, false) => {
                plan.kept.push(format!("dns            {}: is not in the file; --prune takes it out", surplus.record))
            }
        }
    }
    plan.changes.extend(first);
    plan.changes.extend(alters);
    let made = |record: &&Record| change(Sign::Add, record.to_string(), Method::POST, None, Some(record.to_api()));
    plan.changes.extend(adds.iter().map(made));
    plan.changes.extend(last);
    Ok(())
}

fn is_cname(record: &Record) -> bool {
    matches!(record.data, Data::Cname(_))
}

/// Whether a record is what another of the same name and type is to become. Text beside text means something of its own, and so do other kinds, unless they
/// were made here; an address that stayed would get visitors.
fn takes_place(wanted: &Record, live: &Live) -> bool {
    let kind = wanted.data.kind();
    live.record.name == wanted.name
        && live.record.data.kind() == kind
        && (live.ours || matches!(kind, "A" | "AAAA" | "CNAME"))
}

fn difference(was: &Record, will: &Record) -> String {
    let mut parts = Vec::new();
    if was.data != will.data {
        parts.push(will.data.to_string());
    }
    if was.proxied != will.proxied {
        parts.push(if will.proxied { "proxied" } else { "not proxied" }.to_owned());
    }
    if !will.proxied && was.ttl != will.ttl {
        parts.push(format!("ttl {}", will.ttl));
    }
    parts.join(", ")
}
