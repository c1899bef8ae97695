//! The work in the background, on the control plane: a task for each probe, and one that keeps what they find.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::{All, Health, History, KEPT, Kept, Level, lock, look, seconds};
use crate::drain::Drain;
use crate::listen::Identity;

/// How often what is found is kept, besides when something changes.
const KEEP: Duration = Duration::from_secs(60);
/// How soon after something has changed.
const SOON: Duration = Duration::from_secs(2);

impl Health {
    /// Looks at everything until the drain begins: then a successor does. What is returned ends once all is kept.
    pub(crate) fn watch(&self, draining: &Drain, identity: Option<&Arc<Identity>>) -> JoinHandle<()> {
        if let Some(identity) = identity {
            let _ = self.0.around.identity.set(Arc::clone(identity));
        }
        for (n, watched) in self.0.probes.iter().enumerate().filter(|(_, watched)| !watched.told) {
            let (health, draining) = (self.clone(), draining.clone());
            let every = watched.probe.every;
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    let looked = async {
                        ticks.tick().await;
                        let watched = health.0.probes.get(n)?;
                        Some(look::look(&watched.probe, &health.0.around).await)
                    };
                    tokio::select! {
                        seen = looked => match seen {
                            Some(seen) => health.observed(n, seen),
                            None => return,
                        },
                        () = draining.begun() => return,
                    }
                }
            });
        }
        tokio::spawn(self.clone().keep(draining.clone()))
    }

    async fn keep(self, draining: Drain) {
        let file = self.0.settings.as_ref().and_then(|settings| settings.file.clone());
        let Some(history) = file.map(History::in_file) else { return draining.begun().await };
        self.remember(&history).await;
        let mut again = true;
        loop {
            let over = tokio::select! {
                () = tokio::time::sleep(KEEP) => false,
                () = self.0.changed.notified() => {
                    // What changes together is written together.
                    tokio::time::sleep(SOON).await;
                    false
                }
                () = draining.begun() => true,
            };
            if over {
                let now = seconds(SystemTime::now());
                lock(&self.0.state).tracks.iter_mut().for_each(|track| track.close(now));
            }
            self.save(&history).await;
            if over {
                return;
            }
            if std::mem::take(&mut again) {
                // The process before us has written its last by now.
                self.remember(&history).await;
            }
        }
    }

    async fn remember(&self, history: &History) {
        let history = history.clone();
        let Ok(mut all) = tokio::task::spawn_blocking(move || history.read()).await else { return };
        let now = seconds(SystemTime::now());
        let mut state = lock(&self.0.state);
        for (watched, track) in self.0.probes.iter().zip(&mut state.tracks) {
            if let Some(Kept { spans, points }) = all.remove(&watched.probe.name) {
                track.remember(spans, points);
            }
        }
        self.show(&mut state, now);
    }

    async fn save(&self, history: &History) {
        let now = seconds(SystemTime::now());
        let changed = {
            let mut state = lock(&self.0.state);
            let since = std::mem::replace(&mut state.kept_until, now);
            let mut changed = All::new();
            for (watched, track) in self.0.probes.iter().zip(&mut state.tracks) {
                track.forget_before(now.saturating_sub(KEPT));
                let line = track.until(now);
                let spans = line.spans().iter().filter(|span| span.to >= since && span.to > span.from);
                let points = track.points().iter().rev().take(2);
                let kept = Kept { spans: spans.copied().collect(), points: points.copied().collect() };
                changed.insert(watched.probe.name.clone(), kept);
            }
            changed
        };
        let (history, path) = (history.clone(), history.path().display().to_string());
        let written = tokio::task::spawn_blocking(move || history.write(&changed, now)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(path, %error, "the history of health is not kept");
                // All of it with the next one.
                lock(&self.0.state).kept_until = 0;
            }
            Err(error) => tracing::error!(path, %error, "keeping the history of health panicked"),
        }
    }
}

impl Level {
    /// No worse than a service that is not vital makes the site.
    pub(super) fn at_most(self, vital: bool) -> Self {
        if vital { self } else { self.min(Self::Degraded) }
    }
}
