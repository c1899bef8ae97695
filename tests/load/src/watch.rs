//! What is seen of the machine meanwhile: CPU, memory, descriptors and threads of processes, the whole machine's CPU, and the gateway's metrics.

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use origin::metrics::Sample;
use serde::{Deserialize, Serialize};

use crate::process;

/// What the tool itself is called among the processes.
pub const GENERATOR: &str = "load generator";

/// One process and all that it has started, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Cores' worth of CPU since the moment before.
    pub cpu_cores: f64,
    /// Of it, what its busiest thread used: at 1 that thread can do no more.
    #[serde(default)]
    pub busiest_thread: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads `/proc` again and again.
pub(crate) struct Watch {
    processes: BTreeMap<String, u32>,
    /// Seconds of CPU of each thread so far, by process; and busy and all time of the machine.
    before: BTreeMap<String, BTreeMap<u32, f64>>,
    machine: (f64, f64),
}

impl Watch {
    pub(crate) fn new(processes: &BTreeMap<String, u32>) -> Self {
        let mut processes = processes.clone();
        processes.insert(GENERATOR.to_owned(), std::process::id());
        let mut watch = Self { processes, before: BTreeMap::new(), machine: machine() };
        watch.before = watch.members().into_iter().map(|(name, pids)| (name, process::threads(&pids))).collect();
        watch
    }

    /// Each process with what it has started, but for what has a name of its own.
    fn members(&self) -> BTreeMap<String, Vec<u32>> {
        let families: Vec<(u32, Vec<u32>)> = self.processes.values().map(|pid| (*pid, process::family(*pid))).collect();
        let of = |pid: u32| {
            let mut all =
                families.iter().find(|(first, _)| *first == pid).map(|(_, all)| all.clone()).unwrap_or_default();
            let within = families.iter().filter(|(first, _)| *first != pid && all.contains(first));
            let others: Vec<u32> = within.flat_map(|(_, others)| others).copied().collect();
            all.retain(|pid| !others.contains(pid));
            all
        };
        self.processes.iter().map(|(name, pid)| (name.clone(), of(*pid))).collect()
    }

    /// What has been used since the last look, `seconds` ago: by process, and the machine's share of CPU that was busy.
    pub(crate) fn look(&mut self, seconds: f64) -> (BTreeMap<String, Usage>, f64) {
        let mut usages = BTreeMap::new();
        // Who is gone has no figures, rather than good ones.
        for (name, pids) in self.members().into_iter().filter(|(_, pids)| !pids.is_empty()) {
            let now = process::threads(&pids);
            let before = self.before.insert(name.clone(), now.clone()).unwrap_or_default();
            let used = now.iter().map(|(thread, now)| (now - before.get(thread).unwrap_or(&0.0)).max(0.0) / seconds);
            let usage = Usage {
                cpu_cores: used.clone().sum(),
                busiest_thread: used.fold(0.0, f64::max),
                memory_bytes: pids.iter().map(|pid| resident(*pid)).sum(),
                descriptors: pids.iter().map(|pid| entries(&format!("/proc/{pid}/fd"))).sum(),
                threads: pids.iter().map(|pid| entries(&format!("/proc/{pid}/task"))).sum(),
            };
            usages.insert(name, usage);
        }
        let (busy, all) = machine();
        let (busy_before, all_before) = std::mem::replace(&mut self.machine, (busy, all));
        let all = all - all_before;
        (usages, if all > 0.0 { (busy - busy_before) / all } else { 0.0 })
    }

    /// Another process under a name that is known.
    pub(crate) fn replace(&mut self, name: &str, pid: u32) {
        if let Some(known) = self.processes.get_mut(name).filter(|known| **known != pid) {
            *known = pid;
            self.before.insert(name.to_owned(), process::threads(&process::family(pid)));
        }
    }
}

/// Why a process can't be watched: it is not there, or where `descriptors` are wanted, too, these are not shown to us.
pub(crate) fn is_hidden(pid: u32, descriptors: bool) -> Option<String> {
    if process::family(pid).is_empty() {
        return Some(format!("there is no process {pid}"));
    }
    let shown = fs::read_dir(format!("/proc/{pid}/fd"));
    let error = shown.err().filter(|_| descriptors)?;
    Some(format!(
        "the descriptors of process {pid} can't be counted ({error}): run it as that process's user, or as root"
    ))
}

fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

fn entries(folder: &str) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

/// Busy and all time of all cores, in any unit.
fn machine() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|n| n.parse().ok())
        .collect();
    let all: f64 = fields.iter().sum();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// Reads the gateway's metrics.
///
/// # Errors
/// The private listener does not answer.
pub(crate) async fn metrics(admin: &str) -> Result<Sample, String> {
    let uri = format!("{}/metrics", admin.trim_end_matches('/'));
    let request = Request::get(&uri).body(Full::<Bytes>::default()).map_err(|e| format!("{uri}: {e}"))?;
    let (status, _, body) = plain(request).await?;
    if status != 200 {
        return Err(format!("{uri}: status {status}"));
    }
    Ok(Sample::parse(&String::from_utf8_lossy(&body)))
}

/// Asks something that is not loaded: a private listener, an app.
pub(crate) async fn plain(request: Request<Full<Bytes>>) -> Result<(u16, http::HeaderMap, Bytes), String> {
    use http_body_util::BodyExt as _;
    let uri = request.uri().clone();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let one = async {
        let response = client.request(request).await.map_err(|e| format!("{uri}: {e}"))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| format!("{uri}: {e}"))?.to_bytes();
        Ok((parts.status.as_u16(), parts.headers, body))
    };
    let within = std::time::Duration::from_secs(5);
    tokio::time::timeout(within, one).await.unwrap_or_else(|_| Err(format!("{uri}: no answer within 5 s")))
}
