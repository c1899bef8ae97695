//! Ends everything that this process started and that started: cargo with its compilers, npm, Node with workerd, the gateway. Asked of
//! `/proc`; where there is none, a terminal's Ctrl-C reaches them all the same, since they are in our process group.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long after SIGTERM they are killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends SIGTERM to all, and SIGKILL to those that still live after a while; returns when all have ended.
pub(crate) fn end() {
    let all = below(std::process::id());
    signal(&all, Signal::TERM);
    let until = Instant::now() + PATIENCE;
    while all.iter().any(|pid| lives(*pid)) {
        if Instant::now() > until {
            signal(&all.iter().copied().filter(|pid| lives(*pid)).collect::<Vec<_>>(), Signal::KILL);
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Children of any thread, and theirs.
fn below(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|c| c.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    children.iter().flat_map(|child| below(*child)).chain(children.iter().copied()).collect()
}

/// A zombie has no program any more: it has ended, and we end too.
fn lives(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}
