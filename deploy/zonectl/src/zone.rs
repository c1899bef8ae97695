//! The zone itself: found by its name.

use crate::api::Api;

/// A zone that the token can see.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    pub name: String,
    /// `active`, or `pending` while the registrar does not name its name servers.
    pub status: String,
    /// The plan it is on, such as `free`.
    pub plan: String,
    pub name_servers: Vec<String>,
}

impl Zone {
    /// Asks for it. The error says what to do where there is none.
    pub(crate) fn find(api: &Api, name: &str) -> Result<Self, String> {
        let all = api.whole(&format!("/zones?name={name}")).map_err(|e| e.to_string())?;
        let Some(found) = all.iter().find(|zone| zone["name"] == name) else {
            return Err(format!(
                "there is no zone {name} that this token can see: add it in the dashboard (\"Add a domain\", the free plan), or give the token \"Zone: Read\" for it"
            ));
        };
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let servers = found["name_servers"].as_array().into_iter().flatten();
        let zone = Self {
            id: text("id"),
            name: name.to_owned(),
            status: text("status"),
            plan: found["plan"]["legacy_id"].as_str().unwrap_or("unknown").to_owned(),
            name_servers: servers.filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        };
        let id = zone.id.len() == 32 && zone.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if id { Ok(zone) } else { Err(format!("the id of the zone {name} is no id: `{}`", zone.id)) }
    }

    /// A path of its own.
    pub(crate) fn path(&self, below: &str) -> String {
        format!("/zones/{}/{below}", self.id)
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{}: zone {}, plan {}, {}", self.name, self.id, self.plan, self.status);
        if self.status == "pending" {
            line.push_str(": the registrar is to name ");
            line.push_str(&self.name_servers.join(" and "));
        }
        line
    }
}
