//! The backups of `deploy/backups`, with the programs that run them: PostgreSQL, pgBackRest, rsync over SSH. One VPS and one offsite machine, as
//! folders, go through what backups are for; the parts build on each other, so they are one test.

mod bucket;
mod loss;
mod routine;
mod site;

use std::time::Instant;

use self::site::Site;

/// What runs it.
const COMMAND: &str = "cargo test -p deploy --test it -- from_a_backup --nocapture";

/// A part of it, which goes on where the one before has ended.
type Part = fn(&Site);

#[test]
fn from_a_backup_to_the_day_it_is_needed() {
    let parts: [(&str, Part); 14] = [
        ("full and incremental backups", routine::full_and_incremental),
        ("dumps need no tool of ours", routine::dumps_load_anywhere),
        ("dumps are encrypted and kept for 30 days", routine::dumps_are_encrypted_and_expire),
        ("a dump that fails leaves nothing behind", routine::a_dump_that_fails_leaves_nothing),
        ("the offsite machine pulls", routine::pull_copies_everything),
        ("its keys open nothing else", routine::keys_open_nothing_else),
        ("the drill passes and reports", routine::drill_passes_and_reports),
        ("a report has one form", routine::reports_have_one_form),
        ("the drill finds what is missing", loss::drill_finds_what_is_missing),
        ("the drill finds a damaged file", loss::drill_finds_a_damaged_file),
        ("a VPS in foreign hands erases nothing", loss::a_stolen_vps_erases_nothing),
        ("rows deleted by mistake come back", loss::point_in_time),
        ("VPS and repository are lost", loss::everything_is_lost),
        ("backups end after 30 days", loss::backups_end_after_thirty_days),
    ];
    let began = Instant::now();
    let site = Site::new();
    eprintln!("{:6.1} s  two machines", began.elapsed().as_secs_f64());
    for (name, part) in parts {
        let began = Instant::now();
        part(&site);
        eprintln!("{:6.1} s  {name}", began.elapsed().as_secs_f64());
    }
}
