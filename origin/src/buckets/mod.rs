//! Buckets as they are to be: what differs from the configuration, and making it so. `origin buckets check` and `apply` are this.
//!
//! A project is what one account owns at one storage. A write-only key must read in none of its buckets, so policies are put on all of them,
//! those too that the configuration does not name; of them nothing else is touched.

mod policy;
mod present;
mod project;
mod proof;
mod wanted;

use std::fmt;

use aws_sdk_s3::types::{
    BucketCannedAcl, BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus, CorsConfiguration,
    CorsRule, CreateBucketConfiguration, LifecycleRule, VersioningConfiguration,
};
use serde_json::Value;

pub use proof::Proof;

use crate::config::{Bucket, Config, Setting};
use crate::storage::{Store, StoreError, Transport, Trouble, add_md5};
use present::Present;
use project::Project;

/// What was found out about all of them.
#[derive(Debug)]
pub struct Survey {
    /// The buckets, the configuration's first.
    pub buckets: Vec<Found>,
    /// What each write-only key could read.
    pub proofs: Vec<Proof>,
}

/// What was found out about one bucket.
#[derive(Debug)]
pub struct Found {
    /// Its role; none where the configuration does not name it.
    pub role: Option<String>,
    store: Store,
    region: String,
    findings: Vec<Finding>,
}

/// One thing about a bucket, and how it is.
#[derive(Debug)]
struct Finding {
    /// `None` for the bucket itself.
    setting: Option<Setting>,
    verdict: Verdict,
    /// What others have set there, which is kept.
    kept: Vec<String>,
}

#[derive(Debug)]
enum Verdict {
    AsWanted,
    /// How it is and how it is to be, and what makes it so.
    Differs(String, Change),
    /// The server has nothing of the kind, as the configuration says.
    Known,
    /// The server has nothing of the kind, as it says itself.
    Lacking(StoreError),
    /// The same in a bucket that is not ours: what a key can read there, the proof says.
    Elsewhere(StoreError),
}

/// What is done to a bucket.
#[derive(Clone, Debug)]
enum Change {
    Create,
    Private,
    Versioning,
    Lifecycle(Vec<LifecycleRule>),
    Cors(Vec<CorsRule>),
    Policy(Option<Value>),
}

/// Looks at the buckets of these roles, all where none is named, and at all others of their projects. Changes nothing.
///
/// # Errors
/// A role that is not configured; a storage that does not answer.
pub async fn survey(config: &Config, roles: &[String], transport: &Transport) -> Result<Survey, SurveyError> {
    if let Some(role) = roles.iter().find(|role| !config.buckets.iter().any(|bucket| bucket.role == **role)) {
        return Err(SurveyError::Role(role.clone(), config.buckets.iter().map(|b| b.role.clone()).collect()));
    }
    let chosen = |bucket: &Bucket| roles.is_empty() || roles.contains(&bucket.role);
    let (mut named, mut others, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
    for project in project::all(&config.buckets, transport).await? {
        if !project.members.iter().any(|bucket| chosen(bucket)) {
            continue;
        }
        for bucket in project.members.iter().filter(|bucket| chosen(bucket)) {
            named.push(look(&project, bucket, transport).await?);
        }
        others.extend(beside(&project).await?);
        proofs.extend(proof::all(&project).await?);
    }
    named.extend(others);
    Ok(Survey { buckets: named, proofs })
}

/// A bucket of the configuration.
async fn look(project: &Project<'_>, bucket: &Bucket, transport: &Transport) -> Result<Found, StoreError> {
    let store = Store::new(bucket, transport);
    let mut findings = Vec::new();
    let present = match store.reach().await {
        Ok(()) => Some(present::all(&store, &bucket.upkeep.lacks).await?),
        Err(error) if error.trouble() == Trouble::Missing => None,
        Err(error) => return Err(error),
    };
    let made = present.is_some();
    findings.push(Finding {
        setting: None,
        verdict: if made {
            Verdict::AsWanted
        } else {
            Verdict::Differs("is not there: make it".into(), Change::Create)
        },
        kept: Vec::new(),
    });
    let present = present.unwrap_or_default();
    for setting in Setting::ALL {
        let (verdict, kept) = if bucket.upkeep.lacks.contains(&setting) {
            (Verdict::Known, Vec::new())
        } else {
            let compared = compare(setting, &present, project, bucket);
            compared.unwrap_or_else(|error| (Verdict::Lacking(error), Vec::new()))
        };
        findings.push(Finding { setting: Some(setting), verdict, kept });
    }
    let region = bucket.reader.place().region.clone();
    Ok(Found { role: Some(bucket.role.clone()), store, region, findings })
}

/// How one setting is. The error is that the server has nothing of the kind.
fn compare(
    setting: Setting,
    present: &Present,
    project: &Project<'_>,
    bucket: &Bucket,
) -> Result<(Verdict, Vec<String>), StoreError> {
    let upkeep = &bucket.upkeep;
    let differs = |said: String, change| Verdict::Differs(said, change);
    Ok(match setting {
        Setting::Acl => match present.open_to.as_ref().map_err(Clone::clone)?.as_slice() {
            [] => (Verdict::AsWanted, Vec::new()),
            open => (differs(format!("lets {}: make it private", open.join(", ")), Change::Private), Vec::new()),
        },
        Setting::Versioning => match present.versioned.as_ref().map_err(Clone::clone)? {
            true => (Verdict::AsWanted, Vec::new()),
            false => (
                differs("is off: turn it on, so that what is deleted comes back".into(), Change::Versioning),
                Vec::new(),
            ),
        },
        Setting::Lifecycle => {
            let rules = present.lifecycle.as_ref().map_err(Clone::clone)?;
            let (ours, others) = wanted::apart(rules, |rule| rule.id() == Some(wanted::ID));
            let kept = others.iter().map(wanted::say_rule).collect();
            let wish = wanted::lifecycle(upkeep);
            let said = wanted::say_lifecycle(upkeep);
            match ours.as_slice() {
                [one] if wanted::same_rule(one, &wish) => (Verdict::AsWanted, kept),
                there => {
                    let now = if there.is_empty() { "no rule of ours" } else { "another rule of ours" };
                    let all = [vec![wish], others].concat();
                    (differs(format!("{now}: {said}"), Change::Lifecycle(all)), kept)
                }
            }
        }
        Setting::Cors => {
            let rules = present.cors.as_ref().map_err(Clone::clone)?;
            let wish = wanted::cors(&upkeep.origins);
            let is_ours = |rule: &CorsRule| {
                rule.id() == Some(wanted::ID) || wish.as_ref().is_some_and(|wish| wanted::same_cors(rule, wish))
            };
            let (ours, others) = wanted::apart(rules, is_ours);
            let kept = others.iter().map(wanted::say_cors).collect();
            match (ours.as_slice(), wish) {
                ([], None) => (Verdict::AsWanted, kept),
                ([one], Some(wish)) if wanted::same_cors(one, &wish) => (Verdict::AsWanted, kept),
                (_, None) => (
                    differs("is for origins that the configuration has not: take it off".into(), Change::Cors(others)),
                    kept,
                ),
                (there, Some(wish)) => {
                    let now = if there.is_empty() { "no rule of ours" } else { "another rule of ours" };
                    let said = format!("{now}: let scripts of {} upload and read", upkeep.origins.join(", "));
                    (differs(said, Change::Cors([vec![wish], others].concat())), kept)
                }
            }
        }
        Setting::Policy => {
            let there = present.policy.as_ref().map_err(Clone::clone)?.as_ref();
            let wish = policy::wanted(bucket.reader.place().bucket(), &project.writers, true);
            policies(there, wish)
        }
    })
}

fn policies(there: Option<&Value>, wish: Vec<Value>) -> (Verdict, Vec<String>) {
    let (ours, others) = policy::apart(there);
    let kept = others.iter().map(policy::say).collect();
    if policy::same(&ours, &wish) {
        return (Verdict::AsWanted, kept);
    }
    let said = policy::difference(&ours, &wish);
    (Verdict::Differs(said, Change::Policy(policy::whole(there, [wish, others].concat()))), kept)
}

/// The project's buckets that the configuration does not name, where there is a write-only key that must not read them.
async fn beside(project: &Project<'_>) -> Result<Vec<Found>, StoreError> {
    let mut all = Vec::new();
    for name in project.others() {
        let wish = policy::wanted(name, &project.writers, false);
        if wish.is_empty() {
            continue;
        }
        let store = project.store.on(name);
        let (verdict, kept) = match present::policy(&store).await? {
            Ok(there) => policies(there.as_ref(), wish),
            Err(error) => (Verdict::Elsewhere(error), Vec::new()),
        };
        let findings = vec![Finding { setting: Some(Setting::Policy), verdict, kept }];
        all.push(Found { role: None, store, region: String::new(), findings });
    }
    Ok(all)
}

impl Survey {
    /// Whether anything is not as the configuration wants it.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.changes() > 0
            || self.proofs.iter().any(|proof| !proof.reads.is_empty())
            || self.findings().any(|finding| matches!(finding.verdict, Verdict::Lacking(_)))
    }

    /// How many changes would be made.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.findings().filter(|finding| matches!(finding.verdict, Verdict::Differs(..))).count()
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.buckets.iter().flat_map(|bucket| &bucket.findings)
    }

    /// Makes all changes, one after the other; `done` is told of each.
    ///
    /// # Errors
    /// The first that failed. What was done before it stays; another run goes on from there.
    pub async fn apply(&self, mut done: impl FnMut(&str)) -> Result<(), StoreError> {
        for bucket in &self.buckets {
            for finding in &bucket.findings {
                if let Verdict::Differs(_, change) = &finding.verdict {
                    bucket.make(change).await?;
                    let what = finding.setting.map_or("bucket", Setting::as_str);
                    done(&format!("{}: {what}", bucket.store.name()));
                }
            }
        }
        Ok(())
    }
}

impl Found {
    async fn make(&self, change: &Change) -> Result<(), StoreError> {
        let (store, client, name) = (&self.store, self.store.client(), self.store.name());
        match change {
            Change::Create => {
                // Ceph takes its own zone group's name alone, Hetzner none; only AWS insists on it outside its first region.
                let place = (self.region != "us-east-1" && store.is_aws()).then(|| {
                    let region = BucketLocationConstraint::from(self.region.as_str());
                    CreateBucketConfiguration::builder().location_constraint(region).build()
                });
                let made = client.create_bucket().bucket(name).set_create_bucket_configuration(place).send().await;
                made.map(drop).map_err(|error| store.failed("making the bucket", error))
            }
            Change::Private => {
                let set = client.put_bucket_acl().bucket(name).acl(BucketCannedAcl::Private);
                let set = set.customize().mutate_request(add_md5).send().await;
                set.map(drop).map_err(|error| store.failed("making the bucket private", error))
            }
            Change::Versioning => {
                let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
                let set = client.put_bucket_versioning().bucket(name).versioning_configuration(on);
                let set = set.customize().mutate_request(add_md5).send().await;
                set.map(drop).map_err(|error| store.failed("turning versioning on", error))
            }
            Change::Lifecycle(rules) => {
                let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules.clone())).build();
                let rules = rules.map_err(|error| store.wrong("setting the lifecycle", &error))?;
                let set = client.put_bucket_lifecycle_configuration().bucket(name).lifecycle_configuration(rules);
                let set = set.customize().mutate_request(add_md5).send().await;
                set.map(drop).map_err(|error| store.failed("setting the lifecycle", error))
            }
            Change::Cors(rules) if rules.is_empty() => {
                let set = client.delete_bucket_cors().bucket(name).send().await;
                set.map(drop).map_err(|error| store.failed("taking CORS off", error))
            }
            Change::Cors(rules) => {
                let rules = CorsConfiguration::builder().set_cors_rules(Some(rules.clone())).build();
                let rules = rules.map_err(|error| store.wrong("setting CORS", &error))?;
                let set = client.put_bucket_cors().bucket(name).cors_configuration(rules);
                let set = set.customize().mutate_request(add_md5).send().await;
                set.map(drop).map_err(|error| store.failed("setting CORS", error))
            }
            Change::Policy(None) => {
                let set = client.delete_bucket_policy().bucket(name).send().await;
                set.map(drop).map_err(|error| store.failed("taking the policy off", error))
            }
            Change::Policy(Some(policy)) => {
                let set = client.put_bucket_policy().bucket(name).policy(policy.to_string());
                let set = set.customize().mutate_request(add_md5).send().await;
                set.map(drop).map_err(|error| store.failed("setting the policy", error))
            }
        }
    }
}

/// For people: what is as wanted in one line, then a line for each thing that is not.
impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bucket in &self.buckets {
            bucket.fmt(f)?;
        }
        self.proofs.iter().try_for_each(|proof| writeln!(f, "{proof}"))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => writeln!(f, "{role}: bucket {}", self.store.name())?,
            None => writeln!(f, "(not in the configuration, but of the same project): bucket {}", self.store.name())?,
        }
        let name = |finding: &Finding| finding.setting.map_or("bucket", Setting::as_str);
        let good = self.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::AsWanted));
        let good: Vec<_> = good.map(name).collect();
        if !good.is_empty() {
            writeln!(f, "  as wanted  {}", good.join(", "))?;
        }
        for finding in &self.findings {
            match &finding.verdict {
                Verdict::AsWanted => {}
                Verdict::Differs(said, _) => writeln!(f, "  to change  {}: {said}", name(finding))?,
                Verdict::Known => {
                    writeln!(f, "  lacking    {}: the configuration says that this storage has none", name(finding))?;
                }
                Verdict::Elsewhere(error) => writeln!(f, "  lacking    {}: {error}", name(finding))?,
                Verdict::Lacking(error) => {
                    let what = name(finding);
                    writeln!(
                        f,
                        "  LACKING    {what}: {error}; where that is known and good enough, write lacks = [\"{what}\"]"
                    )?;
                }
            }
            for kept in &finding.kept {
                writeln!(f, "  kept       {}: {kept}", name(finding))?;
            }
        }
        Ok(())
    }
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// No such role; those that there are.
    #[error("there is no [bucket.{0}]: write one of {all}", all = .1.join(", "))]
    Role(String, Vec<String>),
    /// The storage.
    #[error(transparent)]
    Store(#[from] StoreError),
}
