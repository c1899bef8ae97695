//! What one account owns at one storage.

use crate::config::{Bucket, Credentials};
use crate::storage::{Place, Store, StoreError, Transport, Trouble};

/// One account's buckets.
pub(super) struct Project<'a> {
    /// The account, as the storage calls it; empty where it does not say.
    owner: String,
    endpoint: (&'static str, String),
    /// Every bucket that the account's keys see.
    pub(super) names: Vec<String>,
    /// Those that the configuration names.
    pub(super) members: Vec<&'a Bucket>,
    /// The write-only keys.
    pub(super) writers: Vec<Writer>,
    /// Reaches its buckets with a key that may do everything.
    pub(super) store: Store,
}

/// A write-only key.
pub(super) struct Writer {
    /// What policies call it.
    pub(super) principal: String,
    /// Where it writes: names of buckets.
    pub(super) homes: Vec<String>,
    /// Of the buckets that have it.
    pub(super) roles: Vec<String>,
    pub(super) store: Store,
}

/// The projects of these buckets.
pub(super) async fn all<'a>(buckets: &'a [Bucket], transport: &Transport) -> Result<Vec<Project<'a>>, StoreError> {
    let mut projects: Vec<Project<'a>> = Vec::new();
    for bucket in buckets {
        let store = Store::new(bucket, transport);
        let (owner, mut names) = list(&store).await?;
        let endpoint = endpoint(bucket.reader.place());
        let name = store.name().to_owned();
        if !names.contains(&name) {
            names.push(name.clone());
        }
        let same =
            |project: &&mut Project<'_>| project.endpoint == endpoint && (project.owner == owner && !owner.is_empty());
        let project = match projects.iter_mut().find(same) {
            Some(project) => project,
            None => {
                let (members, writers) = (Vec::new(), Vec::new());
                projects.push(Project { owner: owner.clone(), endpoint, names: Vec::new(), members, writers, store });
                let Some(new) = projects.last_mut() else { continue };
                new
            }
        };
        project.members.push(bucket);
        if let Some(signer) = &bucket.writer {
            let store = Store::with(&bucket.role, signer, transport);
            project.add(Writer {
                principal: principal(bucket, &owner, signer.credentials()),
                homes: vec![name],
                roles: vec![bucket.role.clone()],
                store: store.clone(),
            });
            // What else it sees is to be denied to it, too.
            names.extend(list(&store).await?.1);
        }
        for name in names {
            if !project.names.contains(&name) {
                project.names.push(name);
            }
        }
    }
    Ok(projects)
}

impl Project<'_> {
    fn add(&mut self, writer: Writer) {
        match self.writers.iter_mut().find(|known| known.principal == writer.principal) {
            Some(known) => {
                known.homes.extend(writer.homes);
                known.roles.extend(writer.roles);
            }
            None => self.writers.push(writer),
        }
    }

    /// Those that the configuration does not name.
    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        let named = |name: &&String| !self.members.iter().any(|bucket| bucket.reader.place().bucket() == name.as_str());
        self.names.iter().filter(named).map(String::as_str)
    }
}

/// The account and its buckets; none where the storage does not list them.
async fn list(store: &Store) -> Result<(String, Vec<String>), StoreError> {
    let (mut owner, mut names, mut next) = (String::new(), Vec::new(), None);
    loop {
        let page = store.client().list_buckets().set_continuation_token(next).send().await;
        let page = match page.map_err(|error| store.failed("listing buckets", error)) {
            Ok(page) => page,
            Err(error) if matches!(error.trouble(), Trouble::Unsupported | Trouble::Denied) => break,
            Err(error) => return Err(error),
        };
        if let Some(id) = page.owner().and_then(|owner| owner.id()) {
            id.clone_into(&mut owner);
        }
        names.extend(page.buckets().iter().filter_map(|bucket| bucket.name()).map(ToOwned::to_owned));
        next = page.continuation_token().map(ToOwned::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok((owner, names))
}

/// Scheme and host without the bucket.
fn endpoint(place: &Place) -> (&'static str, String) {
    let host =
        if place.prefix.is_empty() { place.host.split_once('.').map_or("", |(_, rest)| rest) } else { &place.host };
    (place.scheme, host.to_owned())
}

/// At Ceph, and so at Hetzner, a key is `arn:aws:iam:::user/ACCOUNT:KEY`.
fn principal(bucket: &Bucket, owner: &str, key: &Credentials) -> String {
    let written = bucket.upkeep.write_principal.clone();
    written.unwrap_or_else(|| format!("arn:aws:iam:::user/{owner}:{}", key.id))
}
