//! How a bucket is.

use aws_sdk_s3::types::{CorsRule, LifecycleRule};
use serde_json::Value;

use crate::config::Setting;
use crate::storage::{Store, StoreError, Trouble};

/// Each of a bucket's settings, or that the server has nothing of the kind.
pub(super) struct Present {
    /// What strangers may do by the bucket's ACL.
    pub(super) open_to: Result<Vec<String>, StoreError>,
    pub(super) versioned: Result<bool, StoreError>,
    pub(super) lifecycle: Result<Vec<LifecycleRule>, StoreError>,
    pub(super) cors: Result<Vec<CorsRule>, StoreError>,
    pub(super) policy: Result<Option<Value>, StoreError>,
}

/// A bucket that was just made.
impl Default for Present {
    fn default() -> Self {
        let open_to = Ok(Vec::new());
        Self { open_to, versioned: Ok(false), lifecycle: Ok(Vec::new()), cors: Ok(Vec::new()), policy: Ok(None) }
    }
}

/// What is set, as a value of its own where nothing is; the outer error is that the storage is in trouble.
fn told<T>(asked: Result<T, StoreError>, none: T) -> Result<Result<T, StoreError>, StoreError> {
    match asked {
        Ok(found) => Ok(Ok(found)),
        Err(error) => match error.trouble() {
            Trouble::Missing => Ok(Ok(none)),
            // Swift answers 200 with nothing where it has nothing of the kind.
            Trouble::Unsupported | Trouble::Refused | Trouble::Garbled => Ok(Err(error)),
            _ => Err(error),
        },
    }
}

/// All that is not among what the server lacks.
pub(super) async fn all(store: &Store, lacks: &[Setting]) -> Result<Present, StoreError> {
    let mut present = Present::default();
    for setting in Setting::ALL.into_iter().filter(|setting| !lacks.contains(setting)) {
        match setting {
            Setting::Acl => present.open_to = open_to(store).await?,
            Setting::Versioning => present.versioned = told(store.keeps_versions().await, false)?,
            Setting::Lifecycle => present.lifecycle = lifecycle(store).await?,
            Setting::Cors => present.cors = cors(store).await?,
            Setting::Policy => present.policy = policy(store).await?,
        }
    }
    Ok(present)
}

async fn open_to(store: &Store) -> Result<Result<Vec<String>, StoreError>, StoreError> {
    let asked = store.client().get_bucket_acl().bucket(store.name()).send().await;
    let asked = asked.map_err(|error| store.failed("reading the ACL", error)).map(|acl| {
        let grants = acl.grants().iter().filter_map(|grant| {
            let group = grant.grantee()?.uri()?.rsplit('/').next()?.to_owned();
            let permission = grant.permission().map_or("?", |permission| permission.as_str());
            // What delivers logs at AWS is no stranger.
            matches!(group.as_str(), "AllUsers" | "AuthenticatedUsers").then(|| format!("{group} {permission}"))
        });
        grants.collect()
    });
    told(asked, Vec::new())
}

async fn lifecycle(store: &Store) -> Result<Result<Vec<LifecycleRule>, StoreError>, StoreError> {
    let asked = store.client().get_bucket_lifecycle_configuration().bucket(store.name()).send().await;
    let asked = asked.map_err(|error| store.failed("reading the lifecycle", error));
    told(asked.map(|lifecycle| lifecycle.rules.unwrap_or_default()), Vec::new())
}

async fn cors(store: &Store) -> Result<Result<Vec<CorsRule>, StoreError>, StoreError> {
    let asked = store.client().get_bucket_cors().bucket(store.name()).send().await;
    let asked = asked.map_err(|error| store.failed("reading CORS", error));
    told(asked.map(|cors| cors.cors_rules.unwrap_or_default()), Vec::new())
}

pub(super) async fn policy(store: &Store) -> Result<Result<Option<Value>, StoreError>, StoreError> {
    const DOING: &str = "reading the policy";
    let asked = store.client().get_bucket_policy().bucket(store.name()).send().await;
    let asked = asked.map_err(|error| store.failed(DOING, error)).and_then(|answer| match answer.policy() {
        None | Some("") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|error| store.wrong(DOING, &error)),
    });
    told(asked, None)
}
