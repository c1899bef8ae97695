//! What is left of the machine: disk, memory, file descriptors.

use std::path::Path;

use rustix::fs::statvfs;

use super::Found;

/// Asked beside the runtime: a file system that hangs must hang nobody.
pub(super) async fn disk(folder: &Path) -> Result<Found, String> {
    let path = folder.to_owned();
    let asked = tokio::task::spawn_blocking(move || statvfs(path)).await.map_err(|e| e.to_string())?;
    let found = asked.map_err(|e| format!("`{}`: {e}", folder.display()))?;
    // As df counts: of what anyone but root may use.
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    Ok(share(used, used + found.f_bavail, "of the disk in use"))
}

/// In a unit with `ProcSubset=pid` the machine's memory does not show.
pub(super) fn memory() -> Result<Found, String> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|e| format!("/proc/meminfo: {e}"))?;
    let of = |name: &str| -> Option<u64> {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    match (of("MemTotal"), of("MemAvailable")) {
        (Some(total), Some(available)) => Ok(share(total.saturating_sub(available), total, "of the memory in use")),
        _ => Err("/proc/meminfo does not say what is available".to_owned()),
    }
}

pub(super) fn descriptors() -> Result<Found, String> {
    match (crate::metrics::open_fds(), crate::metrics::max_fds()) {
        (Some(open), Some(most)) => Ok(share(open, most, "of the file descriptors in use")),
        _ => Err("/proc/self does not say".to_owned()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(used: u64, all: u64, of_what: &str) -> Found {
    let percent = if all == 0 { 0.0 } else { 100.0 * used as f64 / all as f64 };
    Found::figure(percent, "percent", format!("{percent:.0} % {of_what}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{descriptors, disk, memory};

    #[tokio::test]
    async fn this_machine_is_known() {
        for found in [disk(std::path::Path::new("/")).await, memory(), descriptors()] {
            let figure = found.unwrap_or_else(|e| panic!("{e}")).figure.expect("a figure");
            assert!((0.001..100.0).contains(&figure.value), "{figure:?}");
        }
        assert!(disk(std::path::Path::new("/no/such")).await.is_err());
    }
}
