//! What `/proc` says of a program: CPU and memory of a process and all that it has started.

use std::collections::BTreeMap;
use std::fs;

/// A process and its descendants. Empty once it is gone.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(&format!("/proc/{pid}/stat"))?.get(1)?.parse().ok()?)))
        .collect();
    let mut family: Vec<u32> = parents.iter().map(|(pid, _)| *pid).filter(|p| *p == pid).collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

/// User and system time that each thread of a family has used so far, in seconds, by thread id. To the nanosecond where the kernel
/// keeps `schedstat`, else to the hundredth of a second.
#[must_use]
pub fn threads(family: &[u32]) -> BTreeMap<u32, f64> {
    let mut threads = BTreeMap::new();
    for pid in family {
        for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            let Some(tid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "nanoseconds of CPU: under 2^53 for a hundred days")]
            let precise = || {
                let text = fs::read_to_string(format!("{path}/schedstat")).ok()?;
                Some(text.split_whitespace().next()?.parse::<u64>().ok()? as f64 / 1e9)
            };
            if let Some(seconds) = precise().or_else(|| ticks(&format!("{path}/stat"))) {
                threads.insert(tid, seconds);
            }
        }
    }
    threads
}

/// User and system time that a process has used, those of its threads that have ended too, in seconds; `None` where `/proc` does not
/// tell.
#[must_use]
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    ticks(&format!("/proc/{pid}/stat"))
}

fn ticks(path: &str) -> Option<f64> {
    let fields = stat(path)?;
    let (user, system): (f64, f64) = (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
    // Linux counts in hundredths of a second on every machine that this runs on.
    Some((user + system) / 100.0)
}

/// The fields after the name, which stands in brackets and may hold anything: the state is 0, the parent 1.
fn stat(path: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(path).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(ToOwned::to_owned).collect())
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident, now (`VmRSS`). Pages that processes share count for each.
    pub resident: u64,
    /// Resident, at its peak (`VmHWM`).
    pub peak: u64,
    /// Resident, now, shared pages divided among those who share them (`Pss`).
    pub proportional: u64,
}

/// The memory of a family, summed.
#[must_use]
pub fn memory(family: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for pid in family {
        sum.resident += field(&format!("/proc/{pid}/status"), "VmRSS:");
        sum.peak += field(&format!("/proc/{pid}/status"), "VmHWM:");
        sum.proportional += field(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    }
    sum
}

fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(name));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, family, memory, threads};
    use std::process::{Command, Stdio, id};
    use std::time::{Duration, Instant};

    #[test]
    fn a_family_has_its_children_and_what_they_used() {
        let shell = "sleep 100 & while :; do :; done";
        let mut child = Command::new("bash").args(["-c", shell]).stdin(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        let (all, used) = loop {
            let all = family(child.id());
            let used: f64 = threads(&all).values().sum();
            if (all.len() == 2 && used > 0.2) || Instant::now() > until {
                break (all, used);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let memory = memory(&all);
        let ticks = cpu_seconds(child.id());
        for pid in &all[1..] {
            Command::new("kill").arg(pid.to_string()).status().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(all.len(), 2);
        assert!(used > 0.2 && ticks > Some(0.1), "{used} {ticks:?}");
        assert!(memory.peak >= memory.resident && memory.resident > memory.proportional, "{memory:?}");
        assert!(memory.proportional > 0);
        assert!(family(id()).len() < 100 && family(child.id()).is_empty());
    }
}
