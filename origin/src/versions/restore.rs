//! Bringing objects back as they were at some moment.
//!
//! What was deleted comes back by taking its marks of deletion away: nothing is copied, and it keeps its version. What was overwritten comes
//! back as a copy of the old version, so that what overwrote it is an older version now, and can be brought back in its turn. What came
//! after that moment stays. Another run does only what is left.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinSet;

use super::{History, PAGE, Version, copy, histories};
use crate::storage::{Store, StoreError, Trouble};

/// Objects that are brought back at once.
const AT_ONCE: usize = 16;

/// How one object is brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These marks of deletion lie on the version that it had, which follows with its bytes.
    Undelete(Vec<String>, String, u64),
    /// It had this version, of so many bytes, and has another.
    Copy(String, u64),
}

/// What would be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Each object that is brought back, and how.
    pub steps: Vec<(String, Step)>,
    /// Objects that are as they were.
    pub same: usize,
    /// Objects that came later, which stay.
    pub later: usize,
    /// Objects that were not there then and are not there now.
    pub gone: usize,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Objects that are back.
    pub back: usize,
    /// Those that are not, and why.
    pub failed: Vec<(String, StoreError)>,
}

impl Plan {
    /// Looks at what is meant. `progress` is told how many objects were looked at.
    ///
    /// # Errors
    /// A storage that does not list them.
    pub async fn make(
        store: &Store,
        under: &str,
        moment: SystemTime,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, StoreError> {
        let (mut plan, mut seen) = (Self::default(), 0);
        histories(store, under, PAGE, |history| {
            plan.add(history, moment);
            seen += 1;
            progress(seen);
        })
        .await?;
        Ok(plan)
    }

    fn add(&mut self, history: History, moment: SystemTime) {
        let is_there = history.versions.first().is_some_and(|newest| newest.latest && newest.size.is_some());
        let Some(was) = history.at(moment).filter(|was| was.size.is_some()) else {
            *(if is_there { &mut self.later } else { &mut self.gone }) += 1;
            return;
        };
        let above: Vec<&Version> = history.versions.iter().take_while(|version| version.id != was.id).collect();
        let (id, size) = (was.id.clone(), was.size.unwrap_or_default());
        let step = match above.first() {
            None if was.latest => return self.same += 1,
            // Its marks are gone, and it is not there for all that.
            None => Step::Copy(id, size),
            // Brought back before.
            Some(now) if now.latest && now.etag == was.etag && now.size == was.size => return self.same += 1,
            _ if above.iter().all(|version| version.size.is_none()) => {
                Step::Undelete(above.iter().map(|mark| mark.id.clone()).collect(), id, size)
            }
            _ => Step::Copy(id, size),
        };
        self.steps.push((history.key, step));
    }

    /// How many objects had been deleted, how many overwritten, and the bytes of the latter.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, u64) {
        self.steps.iter().fold((0, 0, 0), |(deleted, overwritten, bytes), (_, step)| match step {
            Step::Undelete(..) => (deleted + 1, overwritten, bytes),
            Step::Copy(_, size) => (deleted, overwritten + 1, bytes + size),
        })
    }

    /// Does it, some objects at a time. `progress` is told of each that is done, for good or not. What fails holds nothing else up.
    pub async fn run(self, store: &Store, mut progress: impl FnMut(usize)) -> Done {
        let store = Arc::new(store.clone());
        let (mut running, mut done, mut finished) = (JoinSet::new(), Done::default(), 0);
        let mut steps = self.steps.into_iter();
        loop {
            while running.len() < AT_ONCE
                && let Some((key, step)) = steps.next()
            {
                let store = Arc::clone(&store);
                running.spawn(async move {
                    let result = step.run(&store, &key).await;
                    (key, result)
                });
            }
            let Some(joined) = running.join_next().await else { return done };
            finished += 1;
            progress(finished);
            match joined {
                Ok((_, Ok(()))) => done.back += 1,
                Ok((key, Err(error))) => done.failed.push((key, error)),
                // It panicked or was cut off: the next run finds it undone.
                Err(error) => done.failed.push((String::new(), store.wrong("bringing an object back", &error))),
            }
        }
    }
}

impl Step {
    async fn run(&self, store: &Store, key: &str) -> Result<(), StoreError> {
        match self {
            Self::Undelete(marks, version, size) => {
                // The newest goes last: until then the object is deleted, and then it is there.
                for mark in marks.iter().rev() {
                    let removed = store.client().delete_object().bucket(store.name()).key(key).version_id(mark);
                    removed.send().await.map_err(|error| store.failed("taking a mark of deletion away", error))?;
                }
                // Swift does not go back to the version below.
                let there = store.client().head_object().bucket(store.name()).key(key).send().await;
                match there.map_err(|error| store.failed("looking whether it is back", error)) {
                    Err(error) if error.trouble() == Trouble::Missing => copy::over(store, key, version, *size).await,
                    looked => looked.map(drop),
                }
            }
            Self::Copy(version, size) => copy::over(store, key, version, *size).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Plan, Step};
    use crate::versions::{History, Version};

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    /// Versions named by the second in which they came, newest first; a body of one letter, or none for a mark.
    fn history(versions: &[(u64, Option<&str>)]) -> History {
        let versions = versions.iter().enumerate().map(|(n, (second, body))| Version {
            id: format!("v{second}"),
            at: at(*second),
            size: body.map(|body| body.len() as u64),
            etag: body.unwrap_or_default().to_owned(),
            latest: n == 0,
        });
        History { key: "a".to_owned(), versions: versions.collect() }
    }

    fn plan(versions: &[(u64, Option<&str>)], moment: u64) -> Plan {
        let mut plan = Plan::default();
        plan.add(history(versions), at(moment));
        plan
    }

    #[test]
    fn what_is_done() {
        let undelete = |marks: &[&str], version: &str| {
            Some(Step::Undelete(marks.iter().map(|&mark| mark.to_owned()).collect(), version.to_owned(), 1))
        };
        let copy = |version: &str| Some(Step::Copy(version.to_owned(), 1));
        for (versions, step) in [
            (&[(9, None), (1, Some("a"))][..], undelete(&["v9"], "v1")),
            (&[(9, None), (8, None), (1, Some("a"))], undelete(&["v9", "v8"], "v1")),
            (&[(9, Some("b")), (1, Some("a"))], copy("v1")),
            (&[(9, None), (8, Some("b")), (1, Some("a"))], copy("v1")),
            (&[(9, None), (4, Some("b")), (1, Some("a"))], undelete(&["v9"], "v4")),
            // At that moment it had been deleted.
            (&[(9, Some("b")), (4, None), (1, Some("a"))], None),
            (&[(9, None), (4, None), (1, Some("a"))], None),
            // It came later, or is as it was.
            (&[(9, Some("b"))], None),
            (&[(1, Some("a"))], None),
            // It has been brought back.
            (&[(9, Some("a")), (8, Some("b")), (1, Some("a"))], None),
        ] {
            let plan = plan(versions, 5);
            assert_eq!(plan.steps.first().map(|(_, step)| step.clone()), step, "{versions:?}");
        }
        // Its mark of deletion is gone, and nothing has become the newest.
        let mut orphan = history(&[(1, Some("a"))]);
        orphan.versions[0].latest = false;
        let mut plan_of_orphan = Plan::default();
        plan_of_orphan.add(orphan, at(5));
        assert_eq!(plan_of_orphan.steps.first().map(|(_, step)| step.clone()), copy("v1"));
        let counted = |versions: &[(u64, Option<&str>)]| {
            let plan = plan(versions, 5);
            (plan.same, plan.later, plan.gone)
        };
        assert_eq!(counted(&[(1, Some("a"))]), (1, 0, 0));
        assert_eq!(counted(&[(9, Some("a"))]), (0, 1, 0));
        assert_eq!(counted(&[(9, None), (8, Some("a"))]), (0, 0, 1));
    }
}
