//! What the gateway signs, at real servers: Ceph RGW 16.2, the newest Ceph that Debian has, OpenStack Swift, and the embedded one. One suite; what differs is
//! configuration. Where a server itself differs, `Server` says so.

mod abuse;
mod api;
mod buckets;
mod cors;
mod forms;
mod health;
mod moving;
mod parts;
mod reading;
mod server;
mod uploads;
mod versions;

use std::time::Instant;

use server::{Kind, Server};
use stack::toolchain::ceph::Generation;

/// Runs every case, one after the other, and says all that failed.
macro_rules! cases {
    ($server:expr, $($case:path,)*) => {{
        let mut failed = Vec::new();
        $(
            let began = Instant::now();
            let server = std::sync::Arc::clone(&$server);
            let done = tokio::spawn(async move { $case(&server).await }).await;
            println!("{:?}: {} … {} in {:?}", $server.kind, stringify!($case), if done.is_ok() { "ok" } else { "FAILED" }, began.elapsed());
            if done.is_err() {
                failed.push(stringify!($case));
            }
        )*
        assert!(failed.is_empty(), "{:?}: {failed:?}", $server.kind);
    }};
}

fn suite(kind: Kind) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Some(server) = Server::start(kind).await else { return };
        let server = std::sync::Arc::new(server);
        cases![
            server,
            reading::by_get_and_head,
            reading::ranges,
            reading::what_the_storage_is_told_to_say,
            reading::one_version,
            reading::nothing_else_is_allowed,
            reading::not_after_its_time,
            uploads::what_was_signed_and_nothing_else,
            uploads::a_bound_body,
            uploads::what_runs_is_stored_as_an_attachment,
            uploads::not_after_its_time,
            parts::a_whole_in_parts,
            parts::what_was_signed_and_nothing_else,
            forms::what_was_signed_and_nothing_else,
            forms::not_after_its_time,
            abuse::the_writing_key_reads_nothing,
            abuse::copies,
            abuse::a_key_that_reads,
            abuse::public_objects,
            cors::a_page_uploads_and_reads,
            versions::a_prefix_is_wiped_and_comes_back,
            versions::step_by_step,
            versions::where_there_are_none,
            buckets::applied_once_is_applied,
            buckets::what_others_have_set_stays,
            buckets::what_was_changed_is_found,
            buckets::what_a_server_lacks_is_said,
            buckets::by_command,
            api::batches::each_with_its_own_outcome,
            api::batches::bounded,
            api::uploads::in_one_go,
            api::uploads::in_parts_and_resumed,
            api::uploads::given_up,
            api::uploads::what_is_wrong,
            api::pending::a_second_upload_changes_nothing,
            api::pending::thrown_away,
            api::pending::without_versions_by_its_tag,
            api::pending::in_pieces,
            api::lfs::by_their_hash,
            api::openapi::what_is_said_and_answered,
            api::openapi::no_url_is_logged,
            moving::from_another_vendor,
            // The last: it takes the server down.
            health::a_storage_that_dies,
        ];
    });
}

#[test]
fn embedded() {
    suite(Kind::Embedded);
}

#[test]
fn ceph_old() {
    suite(Kind::Ceph(Generation::Old));
}

#[test]
fn ceph_new() {
    suite(Kind::Ceph(Generation::New));
}

#[test]
fn swift() {
    suite(Kind::Swift);
}
