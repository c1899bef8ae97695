//! What the system says of this process. What it does not say, as other systems than Linux, is left out.

use rustix::time::{ClockId, clock_gettime};

/// What is known of this process.
#[derive(Debug)]
pub(super) struct Process {
    /// Bytes of memory that are resident.
    pub(super) resident_bytes: Option<u64>,
    /// Seconds of user and system time.
    pub(super) cpu_seconds: f64,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds of one process")]
        let cpu_seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        Self { resident_bytes: resident_bytes(), cpu_seconds, open_fds: open_fds(), max_fds: max_fds() }
    }
}

/// The second number of `statm` is the resident pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// One of them is the folder that is being read.
pub(crate) fn open_fds() -> Option<u64> {
    std::fs::read_dir("/proc/self/fd").ok().map(|fds| (fds.count() as u64).saturating_sub(1))
}

/// The soft limit, in a line such as `Max open files  1024  524288  files`. The system call is not ours: the unit forbids it.
pub(crate) fn max_fds() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Process;

    #[test]
    fn this_process_is_known() {
        let process = Process::look();
        assert!(process.resident_bytes.is_some_and(|bytes| (1 << 20..1 << 40).contains(&bytes)), "{process:?}");
        assert!(process.cpu_seconds > 0.0, "{process:?}");
        assert!(process.open_fds.is_some_and(|fds| (1..100_000).contains(&fds)), "{process:?}");
        assert!(process.max_fds > process.open_fds, "{process:?}");
    }
}
