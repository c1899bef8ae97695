//! `[peer]`: the other gateway behind the same balancer.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::section::{Admin, State};
use super::{AdminAddress, Fault};

/// `[peer]`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its private listener, which takes the token that ours takes.
    pub admin: SocketAddr,
}

pub(super) fn check(
    peer: Option<Peer>,
    admin: Option<&Admin>,
    state: Option<&State>,
    faults: &mut Vec<Fault>,
) -> Option<Peer> {
    let peer = peer?;
    let own = admin.map(|admin| &admin.listen);
    if own == Some(&AdminAddress::Tcp(peer.admin)) {
        let what = format!("`{}` is our own admin.listen: write the other gateway's", peer.admin);
        faults.push(Fault::new("peer.admin", what));
    }
    if !matches!(own, Some(AdminAddress::Tcp(_))) {
        let what = "asks and wants to be asked: add an [admin] section that listens on an address which the other gateway reaches, as in \"10.0.0.2:9180\", with token_file";
        faults.push(Fault::new("peer", what));
    }
    if state.is_none() {
        // A restart without it counts as a purge of everything, and the other would carry that out, too.
        faults.push(Fault::new("peer", "needs a [state] section: each restart would purge both gateways' caches"));
    }
    Some(peer)
}
