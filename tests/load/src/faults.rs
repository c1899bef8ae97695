//! What goes wrong while load runs: by the local stack, or by commands of the target's file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;

use crate::local::Local;
use crate::scenario::{Does, Fault, Scenario};
use crate::target::{Commands, Target};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who carries faults out.
#[derive(Clone)]
pub(crate) enum Hand {
    /// The local stack.
    Stack(Arc<Mutex<Local>>),
    /// Commands.
    Commands(BTreeMap<String, Commands>),
}

impl Hand {
    /// Whoever can do what the scenario has.
    ///
    /// # Errors
    /// There is nobody for one of them.
    pub(crate) fn find(
        scenario: &Scenario,
        target: &Target,
        stack: Option<&Arc<Mutex<Local>>>,
    ) -> Result<Self, String> {
        if let Some(stack) = stack {
            return Ok(Self::Stack(Arc::clone(stack)));
        }
        let mut missing = scenario.fault.iter().map(|fault| fault.does).filter(|does| {
            target.fault.get(does.as_str()).is_none_or(|commands| *does != Does::Purge && commands.end.is_none())
        });
        match missing.next() {
            None => Ok(Self::Commands(target.fault.clone())),
            Some(does) => {
                let name = does.as_str();
                let end = if does == Does::Purge { "" } else { ", end = \"…\"" };
                Err(format!(
                    "the scenario has the fault `{name}`, which nobody carries out: add --stack, or to the target's file \
                     `fault.{name} = {{ begin = \"…\"{end} }}`"
                ))
            }
        }
    }

    pub(crate) async fn begin(&self, fault: &Fault) -> Result<(), String> {
        let by = fault.by.map_or(Duration::ZERO, |by| by.0);
        match self {
            Self::Stack(stack) => {
                let mut stack = stack.lock().await;
                match fault.does {
                    Does::Outage => stack.stop_app().await,
                    Does::SlowDatabase => stack.slow_database(by).await,
                    Does::Purge => stack.purge().await,
                }
            }
            Self::Commands(commands) => match commands.get(fault.does.as_str()) {
                Some(commands) => {
                    run(fault, "begin", &commands.begin.replace("{ms}", &by.as_millis().to_string())).await
                }
                None => Ok(()),
            },
        }
    }

    pub(crate) async fn end(&self, fault: &Fault) -> Result<(), String> {
        match self {
            Self::Stack(stack) => {
                let mut stack = stack.lock().await;
                match fault.does {
                    Does::Outage => stack.start_app().await,
                    Does::SlowDatabase => stack.slow_database(Duration::ZERO).await,
                    Does::Purge => Ok(()),
                }
            }
            Self::Commands(commands) => match commands.get(fault.does.as_str()).and_then(|c| c.end.as_ref()) {
                Some(command) => run(fault, "end", command).await,
                None => Ok(()),
            },
        }
    }
}

/// Runs a command, which is called by its key: it may have a password in it.
async fn run(fault: &Fault, part: &str, command: &str) -> Result<(), String> {
    let key = format!("fault.{}.{part}", fault.does.as_str());
    let mut child = Command::new("sh");
    child.args(["-c", command]).kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(PATIENCE, child.output()).await;
    let output = output.map_err(|_| format!("{key} is not done after 60 s"))?.map_err(|e| format!("sh: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{key} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
