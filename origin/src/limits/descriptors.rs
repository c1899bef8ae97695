//! How many file descriptors the system gives us, and how many of them clients may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many descriptors as the system allows, and says how many connections there may be: `wanted`, or three quarters of the
/// descriptors. The rest are for connections to apps, files and listening sockets, so that a client that is let in is served.
pub(crate) fn connections(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // It may not be allowed; then it stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let most = usize::try_from(limit - limit / 4).unwrap_or(usize::MAX);
    if most < wanted {
        tracing::warn!(
            descriptors = limit,
            connections = most,
            "limits.connections is more than LimitNOFILE (ulimit -n) leaves room for"
        );
    }
    wanted.min(most)
}
